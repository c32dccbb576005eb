import { join } from 'node:path';
import { agentSocketPath, controlSocketPath } from '#protocol/api/places.ts';
import { formatHostPort } from './option-values.ts';
import type { UpOptions } from './up.ts';

/** Where the parts of one machine's mesh meet, and how each is started. */
export type MeshPlan = {
  node: string;
  controlSocket: string;
  agentSocket: string;
  /** Directory of this node below the run directory. */
  nodeDir: string;
  /** PEM file of the control plane's root certificate, for the agent. */
  rootFile: string;
  /** File of the agent's token; as secret as a password. */
  tokenFile: string;
  controlArgs: readonly string[];
  agentArgs: readonly string[];
  cleanupArgs: readonly string[];
};

/** Plans a mesh on one machine; `hostname` names the node unless the options do. Pure. */
export function planMesh(options: UpOptions, hostname: string): MeshPlan {
  const node = options.node ?? nodeNameOf(hostname);
  const { runDir, stateDir, trustDomain } = options;
  const listen = formatHostPort(options.listen);
  const controlSocket = controlSocketPath(runDir);
  const agentSocket = agentSocketPath(runDir, node);
  const nodeDir = join(runDir, node);
  const rootFile = join(nodeDir, 'control-root.pem');
  const tokenFile = join(nodeDir, 'token');
  const place = ['--node', node, '--run-dir', runDir, '--pool4', options.pool4, '--pool6', options.pool6];
  return {
    node,
    controlSocket,
    agentSocket,
    nodeDir,
    rootFile,
    tokenFile,
    controlArgs: [
      ...['control', '--config', options.directory, '--state-dir', stateDir, '--listen', listen],
      ...['--trust-domain', trustDomain, '--waypoint-agent', agentSocket, '--socket', controlSocket],
    ],
    agentArgs: [
      'agent',
      ...place,
      '--trust-domain',
      trustDomain,
      '--control',
      listen,
      '--control-root',
      rootFile,
      '--token-file',
      tokenFile,
    ],
    cleanupArgs: ['agent', ...place, '--cleanup'],
  };
}

/** A host's name as a node may be called: lower case, and nothing but letters, digits, `-` and `.`. */
export function nodeNameOf(hostname: string): string {
  const name = hostname
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, '-')
    .replace(/^[.-]+|[.-]+$/g, '');
  return name === '' ? 'node' : name;
}
