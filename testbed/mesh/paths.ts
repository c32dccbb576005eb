import { join } from 'node:path';
import { agentSocketPath, controlSocketPath } from '#main/commands/run-dir.ts';
import type { FabricPlan, NodeName } from '#testbed/fabric/plan.ts';

/** Where the parts of the mesh keep what is theirs, all below the run's directory. */
export type MeshPaths = {
  /** The copy of examples/bookshop/mesh that the control plane watches. */
  configDir: string;
  stateDir: string;
  /** The run directory of agents and control plane: what `weft status --run-dir` takes. */
  meshRunDir: string;
  controlSocket: string;
  rootCertificate: string;
  agentSocket(node: NodeName): string;
  tokenFile(node: NodeName): string;
  /** One file per app, named after it, holding its process id; for the script `inside`. */
  pidDir: string;
  /** Runs a command inside a workload. */
  insideScript: string;
};

/** The paths of a run. */
export function meshPaths(plan: FabricPlan): MeshPaths {
  const stateDir = join(plan.runDir, 'state');
  const meshRunDir = join(plan.runDir, 'run');
  return {
    configDir: join(plan.runDir, 'mesh'),
    stateDir,
    meshRunDir,
    controlSocket: controlSocketPath(meshRunDir),
    rootCertificate: join(stateDir, 'root-cert.pem'),
    agentSocket: (node) => agentSocketPath(meshRunDir, plan.nodes[node].meshName),
    tokenFile: (node) => join(plan.runDir, `${node}.token`),
    pidDir: join(plan.runDir, 'pids'),
    insideScript: join(plan.runDir, 'inside'),
  };
}
