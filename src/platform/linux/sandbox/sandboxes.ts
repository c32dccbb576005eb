import { parsePool } from '#platform/linux/net/address-pool.ts';
import { checkBridgeName } from './bridge.ts';
import type { NodeReadiness, Sandbox, SandboxesOptions } from './sandbox.ts';
import { SandboxHome } from './sandbox-home.ts';
import type { SandboxKey } from './sandbox-name.ts';

/** The sandboxes of one node. One agent process at a time may use it. */
export type Sandboxes = {
  /**
   * Makes the bridge, forwarding and address translation, and clears what a crash left half made. Idempotent.
   * Errors: WEFT_SANDBOX_BRIDGE, WEFT_SANDBOX_POOL (changed while there are sandboxes), WEFT_SANDBOX_COMMAND, WEFT_SANDBOX_CGROUP.
   */
  prepareNode(): Promise<NodeReadiness>;
  /** What `prepareNode` said could not be had, as of the last look at the routes. */
  degraded(): readonly string[];
  /** The routes of the machine are not what they were: packets pass by the interfaces that they use now. Errors: WEFT_SANDBOX_SYSCTL. */
  routesChanged(): Promise<void>;
  /**
   * A new sandbox, or the one there is if it is intact; one that is damaged is made anew with its addresses. What was made
   * is taken back when it fails. Errors: WEFT_SANDBOX_NAME, WEFT_SANDBOX_POOL (exhausted), WEFT_SANDBOX_BUSY, WEFT_SANDBOX_COMMAND.
   */
  create(key: SandboxKey): Promise<Sandbox>;
  /** Lets nothing in it run, and nothing that joins it, until it is released. Held and released as often as you like. */
  hold(key: SandboxKey): Promise<void>;
  release(key: SandboxKey): Promise<void>;
  /** The same for all of them, and those to come, whatever each was told by itself. */
  holdAll(): Promise<void>;
  releaseAll(): Promise<void>;
  /**
   * Ends every process in its cgroup or its network namespace, and holds the sandbox, which stays. Those that may are asked
   * first, and have `graceMs` to end by themselves. Errors: WEFT_SANDBOX_BUSY when some do not end.
   */
  end(key: SandboxKey, graceMs?: number): Promise<void>;
  /**
   * Removes a sandbox; nothing happens when there is none. Errors: WEFT_SANDBOX_BUSY when processes live in it and are not
   * to be killed; then it stays as it was.
   */
  remove(key: SandboxKey, options?: { killProcesses?: boolean }): Promise<void>;
  /** What is on disk and alive, so that a restarted agent finds it. */
  list(): Promise<readonly Sandbox[]>;
  /** Whether no process lives in it; true when there is none. */
  isEmpty(key: SandboxKey): Promise<boolean>;
  /**
   * Ends every process, as `end` does, removes every sandbox, the bridge, the cgroups and files, and puts settings back, whatever state
   * an earlier run left. Errors: WEFT_SANDBOX_NODE, naming what is left; calling it again goes on.
   */
  removeNode(graceMs?: number): Promise<void>;
};

/** Errors: WEFT_SANDBOX_POOL, WEFT_SANDBOX_BRIDGE for options that cannot be. Nothing is touched before it is asked for. */
export function createSandboxes(options: SandboxesOptions): Sandboxes {
  checkBridgeName(options.bridge);
  parsePool(options.pool4, options.pool6);
  const home = new SandboxHome(options);
  return {
    prepareNode: () => home.prepare(),
    degraded: () => home.degraded,
    routesChanged: () => home.routesChanged(),
    create: (key) => home.create(key),
    hold: (key) => home.hold(key),
    release: (key) => home.release(key),
    holdAll: () => home.hold(null),
    releaseAll: () => home.release(null),
    end: (key, graceMs = 0) => home.end(key, graceMs),
    remove: (key, { killProcesses = false } = {}) => home.remove(key, killProcesses),
    list: () => home.list(),
    isEmpty: (key) => home.isEmpty(key),
    removeNode: (graceMs = 0) => home.removeNode(graceMs),
  };
}
