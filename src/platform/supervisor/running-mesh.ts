import { rmSync } from 'node:fs';
import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import { systemClock } from '#platform/clock.ts';
import { replaceFileSync } from '#platform/files/replace-file.ts';
import { eventually } from '#platform/linux/process/waiting.ts';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import { tell } from '#platform/telemetry/notices.ts';
import type { TokenResponse } from '#protocol/api/control.ts';
import { type Departure, type Keeper, keep } from './keeper.ts';
import { adoptPart, type Part, startPart } from './part.ts';

/** Where the parts of one machine's mesh meet, and how each is started. */
export type MeshParts = {
  node: string;
  controlSocket: string;
  agentSocket: string;
  /** Files that the agent reads: the control plane's root certificate, and a token as secret as a password. */
  rootFile: string;
  tokenFile: string;
  /** What the token says of this node. */
  grant: NodeGrant;
  controlArgs: readonly string[];
  agentArgs: readonly string[];
  cleanupArgs: readonly string[];
};

/** Parts of this very mesh that run already, by their process ids; null: to be started. */
export type RunningParts = { controlPid: number | null; agentPid: number | null };

/** The processes of one `weft up`, in the order in which they need one another. */
export class RunningMesh {
  readonly departed: Promise<Departure>;
  readonly #program: string;
  readonly #plan: MeshParts;
  readonly #running: RunningParts;
  readonly #reportDeparture: (departure: Departure) => void;
  #control: Keeper | null = null;
  #agent: Keeper | null = null;
  #agentLeft = false;
  #up = false;
  #stopRenewal = (): void => {};
  #stopping = false;

  /** `program`: the file that Node.js runs for every part. `running`: what an earlier `weft up` left, and this one goes on with. */
  constructor(program: string, plan: MeshParts, running: RunningParts = { controlPid: null, agentPid: null }) {
    this.#running = running;
    this.#program = program;
    this.#plan = plan;
    const { promise, resolve } = Promise.withResolvers<Departure>();
    this.departed = promise;
    this.#reportDeparture = resolve;
  }

  /** Whether everything was up once. */
  get isUp(): boolean {
    return this.#up;
  }

  /** Resolves when the mesh is up. Errors: WEFT_UP_SLOW. */
  async start(): Promise<void> {
    const { controlSocket, agentSocket, controlArgs, agentArgs, node, rootFile, tokenFile, grant } = this.#plan;
    // What an earlier mesh left would be taken for what this one gives.
    if (this.#running.agentPid === null) for (const file of [rootFile, tokenFile]) rmSync(file, { force: true });
    this.#control = this.#keep('the control plane', controlArgs, this.#running.controlPid, controlSocket);
    // Beside it and not after it: it has a kernel to prepare before it needs the token.
    this.#agent = this.#keep('the agent', agentArgs, this.#running.agentPid, agentSocket);
    this.#agent.departed
      .then(({ exitCode }) => {
        this.#agentLeft = exitCode === 0;
      })
      .catch(toLastResort);
    const control = controlClient(controlSocket);
    const ask = () => control.token({ node, ...grant, ttlSeconds: COMMAND.ownTokenSeconds });
    const take = ({ token, rootsPem }: TokenResponse): void => {
      if (this.#stopping) return;
      replaceFileSync(rootFile, rootsPem);
      replaceFileSync(tokenFile, token);
    };
    let first: TokenResponse | null = null;
    await waitFor('control plane', COMMAND.controlStartMs, async () => {
      first = await ask(); // also where one ended in the middle of this: the next one gives a token as well
      return null;
    });
    if (first !== null) take(first);
    if (this.#stopping) return;
    const renew = (): void => {
      ask()
        .then(take)
        .catch(() => {}); // one that cannot be had now is asked for again long before its predecessor ends
    };
    this.#stopRenewal = systemClock.every(COMMAND.ownTokenRenewMs, renew);
    await waitFor('agent', COMMAND.agentStartMs, async () => {
      const { connected, syncedAt, error } = (await agentClient(agentSocket).status()).controlPlane;
      return connected && syncedAt !== null ? null : (error ?? 'it waits for the state of the mesh');
    });
    this.#up = true;
  }

  /** Ends the mesh: waypoints, then the agent with all it has in the kernel, then the control plane. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#stopRenewal();
    const control = this.#control;
    if (this.#agent !== null && !this.#agentLeft) {
      if (this.#up)
        await controlClient(this.#plan.controlSocket)
          .stopWaypoints()
          .catch(() => {}); // what is left of them ends with the control plane
      await this.#leave(this.#agent);
    }
    await control?.stop(COMMAND.controlStopMs);
  }

  /** Ends every process at once, whatever it leaves. */
  abandon(): never {
    this.#control?.stop(0).catch(toLastResort);
    this.#agent?.stop(0).catch(toLastResort);
    tell('weft: ended at once; weft uninstall removes what is left\n');
    process.exit(1);
  }

  /** A running agent cleans up itself; where it cannot, another process does it in its place. */
  async #leave(agent: Keeper): Promise<void> {
    const released = agent.release();
    const asked = await agentClient(this.#plan.agentSocket)
      .cleanup()
      .then(() => true)
      .catch(() => false);
    const ended = released.then(() => true);
    if (asked && (await Promise.race([ended, afterMs(COMMAND.agentStopMs)]))) return;
    // One that still starts, and so cannot be asked, has nothing to end in order.
    await agent.stop(this.#up ? COMMAND.controlStopMs : 0);
    const cleanup = startPart(this.#program, this.#plan.cleanupArgs);
    await Promise.race([cleanup.ended, afterMs(COMMAND.agentStopMs)]);
    await cleanup.stop(0);
  }

  #keep(name: string, args: readonly string[], runningPid: number | null, socket: string): Keeper {
    let adopted = runningPid;
    const start = (): Part => {
      const pid = adopted;
      adopted = null; // when that one ends, another is started
      return pid === null ? startPart(this.#program, args) : adoptPart(pid, socket);
    };
    const keeper = keep({
      name,
      start,
      // What an earlier mesh left was up there.
      meshIsUp: () => this.#up || runningPid !== null,
      clock: systemClock,
      tell: (sentence) => tell(`weft: ${sentence}\n`),
    });
    keeper.departed.then(this.#reportDeparture).catch(toLastResort);
    return keeper;
  }
}

/** Waits until `missing` answers null, which means that nothing is. Errors: WEFT_UP_SLOW with the last answer. */
async function waitFor(what: string, waitMs: number, missing: () => Promise<string | null>): Promise<void> {
  let last: unknown = null;
  const ready = await eventually(
    async () => {
      last = await missing().catch((error: unknown) => error);
      return last === null;
    },
    waitMs,
    COMMAND.startPollMs,
  );
  if (ready) return;
  throw new WeftError('WEFT_UP_SLOW', `the ${what} was not ready within ${waitMs / 1_000} s`, {
    cause: last,
    remedy: 'see what it told above; on a slow machine, try again',
  });
}

function afterMs(waitMs: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), waitMs).unref());
}
