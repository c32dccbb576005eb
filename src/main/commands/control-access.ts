import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { type AgentOptions, type AgentPlace, type ControlAccess, poolsOf } from '#cli/agent.ts';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';
import { type NodeGrant, tryParseGrant } from '#model/trust/grant.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import { WEFT_ROOT } from '#platform/program/installation.ts';

const PACKAGE = join(WEFT_ROOT, 'package.json');

/** The version of this source tree; parts tell theirs, and `weft status` compares it with its own. */
export function weftVersion(): string {
  const text = readFileSync(PACKAGE, 'utf8');
  return /"version": "([^"]+)"/.exec(text)?.[1] ?? 'unknown';
}

/** The mesh's one cluster, as every client of discovery names it. */
export const CLUSTER_ID = 'Kubernetes';

/** The name that the control plane's certificate always carries; behind a unix socket there is no other. */
const LOCAL_SERVER_NAME = 'localhost';

/**
 * The control plane as a client reaches it. The files are read anew for each connection, so they may be replaced.
 * Errors: WEFT_CONTROL_FILE when one of them cannot be read now.
 */
export function controlEndpoint(access: ControlAccess): ControlEndpoint {
  requireFiles(access);
  return endpointOf(access, Promise.resolve());
}

/**
 * The same where the files may come later: whoever asks for one waits for both, and for what `onCome` does with them. Errors, of those who
 * ask: WEFT_CONTROL_FILE when they have not come after `waitMs`.
 */
export function comingEndpoint(access: ControlAccess, waitMs: number, onCome: () => void): ControlEndpoint {
  const come = eventually(() => [access.rootFile, access.tokenFile].every(hasText), waitMs, COMMAND.startPollMs);
  const required = come.then(() => requireFiles(access)).then(onCome);
  required.catch(() => {}); // whoever asks hears of it
  return endpointOf(access, required);
}

function endpointOf({ address, rootFile, tokenFile, serverName }: ControlAccess, ready: Promise<void>): ControlEndpoint {
  return {
    address,
    rootsPem: () => ready.then(() => readFile(rootFile, 'utf8')),
    token: () => ready.then(() => readFile(tokenFile, 'utf8')),
    serverName: serverName ?? (address.startsWith('unix:') ? LOCAL_SERVER_NAME : null),
    clusterId: CLUSTER_ID,
  };
}

function requireFiles({ rootFile, tokenFile }: ControlAccess): void {
  requireFile(
    rootFile,
    'the root certificate of the control plane',
    'copy root-cert.pem from its state directory, and name it with --control-root',
  );
  requireFile(tokenFile, 'the token of this node', 'make one with weft token NODE where the control plane runs');
}

/** As an agent is told: the files are there, or may come within a time; `onCome` is done with them before anybody gets one. */
export function agentEndpoint({ control, waitSeconds }: Waiting, onCome: () => void): ControlEndpoint {
  return waitSeconds === null ? controlEndpoint(control) : comingEndpoint(control, waitSeconds * 1_000, onCome);
}

type Waiting = { control: ControlAccess; waitSeconds: number | null };

/**
 * The pools of an agent. Who was told both need not wait for a token to have them. Errors: WEFT_NO_POOL, those of reading the token.
 */
export async function agentPools(told: Pools, control: ControlEndpoint): Promise<Pick<AgentPlace, 'pool4' | 'pool6'>> {
  return poolsOf(told, told.pool4 !== null && told.pool6 !== null ? null : await grantOf(control));
}

type Pools = Pick<AgentOptions, 'pool4' | 'pool6'>;

/**
 * What the token of a node says of it; null for a token of somebody else's making. It is the control plane that checks it.
 * Errors: those of reading it.
 */
async function grantOf(control: ControlEndpoint): Promise<NodeGrant | null> {
  const token = await control.token();
  try {
    return tryParseGrant(decodeJwt(token.trim()).grant);
  } catch {
    return null;
  }
}

/** Checked at the start, by a person who is there to mend it, and not at the first connection. */
function requireFile(path: string, what: string, remedy: string): void {
  try {
    accessSync(path, constants.R_OK);
    if (!hasText(path)) throw new Error('it is empty');
  } catch (cause) {
    throw new WeftError('WEFT_CONTROL_FILE', `cannot read ${what} from ${path}`, { cause, remedy });
  }
}

function hasText(path: string): boolean {
  return existsSync(path) && readFileSync(path, 'utf8').trim() !== '';
}
