import type { Agent } from '#node-agent/agent.ts';
import type { NodeWorkloads } from '#node-agent/enrollment/node-workloads.ts';

/** What runs on a node and belongs into the mesh, with what follows it. */
export type Hosted = {
  local: NodeWorkloads;
  /** What of the service is lost now, a sentence each. */
  degraded(): readonly string[];
  /** Asks nobody anything any more. */
  close(): void;
};

/** How a node hosts what belongs into the mesh: in sandboxes of its own, or as pods that others run. */
export type Hosting = {
  /** Before anything of the mesh is in the kernel. Errors: those of the sandboxes. */
  prepare(): Promise<void>;
  /** Lets nothing of it run, until it is released: nobody judged what it did. */
  holdAll(): Promise<void>;
  releaseAll(): Promise<void>;
  /** What another agent served until a moment ago goes on at once, as it was; false: only with `restore`, as far as it does. */
  resume(agent: Agent): Promise<boolean>;
  open(agent: Agent): Promise<Hosted>;
};
