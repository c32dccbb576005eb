import type { Cancel, Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { messageOf } from '#model/error.ts';
import { type ConfFile, networkOf, PLUGIN, primaryOf, withEntry, withoutEntry } from '#model/network-chain/conf-list.ts';
import { Retry } from '#model/resilience/retry.ts';
import { AGENT } from '#model/settings/agents.ts';

/** What keeping the chain does to the node. */
export type ChainEffects = {
  read(): Promise<readonly ConfFile[]>;
  /** False: somebody else has written it meanwhile. Errors: the system's. */
  rewrite(file: ConfFile, text: string): Promise<boolean>;
  /** Puts our entry into the folder of this network, and nowhere else; null: nowhere. Errors: the system's. */
  dropIn(network: string | null, text: string): Promise<void>;
  /** Tells of whatever happens to the files. */
  watch(changed: () => void): Cancel;
  clock: Clock;
  random: Random;
  log: Log;
};

/** Our entry, as it is written: a runtime adds the rest. */
const ENTRY = JSON.stringify({ type: PLUGIN });

/**
 * Keeps our plugin the last of the chain by which pods get their network, whoever else writes that file. It is put back at once: a pod
 * that starts without it would talk before it is in the mesh. Only who writes all the time is answered less often than it writes. Where a runtime
 * reads files beside that one, too, there is another entry in one of our own, which nobody takes out; a pod that is asked for twice is in the mesh once.
 */
export class ChainKeeper {
  readonly #effects: ChainEffects;
  #looking: Promise<void> = Promise.resolve();
  #isAsked = false;
  #stops: Cancel[] = [];
  #closed = false;
  /** When the entry was put back, within the time in which they are counted. */
  #writes: number[] = [];
  #problem: string | null = null;
  #dropInProblem: string | null = null;
  readonly #later: Retry;

  constructor(effects: ChainEffects) {
    this.#effects = effects;
    const pauseMs = AGENT.cniWritesWithinMs / AGENT.cniWritesMax;
    this.#later = new Retry(effects, { firstMs: pauseMs, maxMs: pauseMs }, () => this.#look().catch(toLastResort));
  }

  /** Why pods that start now may not pass the plugin; null: they do. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Resolves when the entry is there, or `problem` says why not; it is kept there until `close` or `leave`. */
  async keep(): Promise<void> {
    const { watch, clock } = this.#effects;
    const look = (): void => void this.#look().catch(toLastResort);
    this.#stops = [watch(look), clock.every(AGENT.cniLookMs, look)];
    await this.#look();
  }

  /** Writes nothing any more; the entry stays, for the next agent. */
  close(): void {
    this.#closed = true;
    this.#later.close();
    for (const stop of this.#stops.splice(0)) stop();
  }

  /** Takes the entry out of every file. Errors: the system's. */
  async leave(): Promise<void> {
    this.close();
    await this.#looking;
    await this.#effects.dropIn(null, ENTRY);
    for (const file of await this.#effects.read()) {
      const text = withoutEntry(file.text);
      if (text !== file.text) await this.#effects.rewrite(file, text);
    }
  }

  /** One at a time; one that is asked for meanwhile follows. */
  #look(): Promise<void> {
    if (this.#isAsked) return this.#looking;
    this.#isAsked = true;
    this.#looking = this.#looking.then(async () => {
      this.#isAsked = false;
      if (!this.#closed) await this.#lookOnce();
    });
    return this.#looking;
  }

  /** Never rejects: what fails is told, and tried again with the next look. */
  async #lookOnce(): Promise<void> {
    const file = primaryOf(await this.#effects.read());
    if ('problem' in file) return this.#tell(file.problem);
    await this.#dropIn(networkOf(file.text));
    const text = withEntry(file.text, ENTRY);
    if (text === file.text) return this.#isIn(file.name);
    if (!this.#mayWrite()) return;
    try {
      const isWritten = await this.#effects.rewrite(file, text);
      if (!isWritten) return void this.#later.after(0);
      this.#effects.log.info({ file: file.name }, 'weft-cni is in the chain of the network of this node');
      this.#isIn(file.name);
    } catch (error) {
      this.#tell(`weft-cni cannot be put into the chain: ${messageOf(error)}`);
    }
  }

  /** Only the entry in the file itself is counted on: nobody tells whether a runtime reads another. */
  async #dropIn(network: string | null): Promise<void> {
    try {
      await this.#effects.dropIn(network, ENTRY);
      this.#dropInProblem = null;
    } catch (error) {
      const problem = messageOf(error);
      if (problem !== this.#dropInProblem)
        this.#effects.log.warn({ error: problem }, 'weft-cni has no file of its own in the chain');
      this.#dropInProblem = problem;
    }
  }

  #mayWrite(): boolean {
    const { clock } = this.#effects;
    const nowMs = clock.monotonicMs();
    this.#writes = this.#writes.filter((at) => nowMs - at < AGENT.cniWritesWithinMs);
    const isTooMuch = this.#writes.length >= AGENT.cniWritesMax;
    if (isTooMuch) this.#later.failed();
    else this.#writes.push(nowMs);
    return !isTooMuch;
  }

  #isIn(name: string): void {
    const often = this.#writes.length > AGENT.cniWritesMax / 2;
    if (!often) this.#problem = null;
    else this.#tell(`another program writes ${name} again and again without weft-cni${name.includes('cilium') ? CILIUM : ''}`);
  }

  #tell(problem: string): void {
    if (this.#problem === problem) return;
    this.#problem = problem;
    this.#effects.log.warn({ error: problem }, 'pods that start may talk in plain text before they are in the mesh');
  }
}

/** Its agent takes every other plugin out of the chain unless told not to. */
const CILIUM = ': install Cilium with cni.exclusive=false';
