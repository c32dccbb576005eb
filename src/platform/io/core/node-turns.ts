import type { Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { IO } from '#model/settings/io.ts';

/** What Node.js has no public word for. */
export type NodeInternals = {
  /** Runs promises and process.nextTick; anything but a function: this Node.js has none. Node.js has had it since its beginning, for its REPL. */
  readonly tick: unknown;
  /** From inside of an immediate: makes libuv forget that it has run, and say for how long it would wait if nothing else were to do. */
  forgetImmediate(): void;
  /** Whether another immediate waits to run. */
  hasImmediates(): boolean;
};

const noop = (): void => {};

/** Those of the Node.js that runs. */
export const NODE_INTERNALS: NodeInternals = {
  tick: Reflect.get(process, '_tickCallback'),
  forgetImmediate() {
    // libuv waits for nobody while an immediate waits to run. One that is given up at once makes it forget this one, which has run.
    const probe = setImmediate(noop);
    probe.unref();
    clearImmediate(probe);
  },
  hasImmediates: () => process.getActiveResourcesInfo().includes('Immediate'),
};

/**
 * How a loop goes round libuv. Both ways of sparing libuv its turns rest on how Node.js is made inside; each is tried at the start, and
 * where it does nothing the loop goes round libuv in every turn, which is slower and no less right, and that is told once, as WEFT_LOOP.
 */
export class NodeTurns {
  readonly #node: NodeInternals;
  readonly #mishaps: Mishaps;
  /** Turns without a word of libuv how long it would wait; -1: it has said so once. */
  #silentTurns = 0;

  constructor(node: NodeInternals, mishaps: Mishaps) {
    this.#node = node;
    this.#mishaps = mishaps;
    if (!this.keepsPromises) this.#tell('it has no process._tickCallback, by which promises go on within a turn');
  }

  /** Promises go on within a turn. */
  get keepsPromises(): boolean {
    return typeof this.#node.tick === 'function';
  }

  /** Turns of the loop in a row before libuv has its turn. */
  get roundsMax(): number {
    return this.keepsPromises && !this.#isBlind ? IO.turnsWithoutLibuvMax : 1;
  }

  get #isBlind(): boolean {
    return this.#silentTurns >= IO.silentTurnsMax;
  }

  /** At the start of a turn, which is an immediate. */
  begin(): void {
    this.#node.forgetImmediate();
  }

  runPromises(): void {
    if (typeof this.#node.tick === 'function') Reflect.apply(this.#node.tick, process, []);
  }

  /** For how long the loop may wait when libuv says so; -1: until there is an event. */
  wait(libuvMs: number): number {
    if (this.#silentTurns < 0) return libuvMs;
    if (libuvMs !== 0) this.#silentTurns = -1;
    else if (!this.#isBlind && ++this.#silentTurns === IO.silentTurnsMax) {
      // While somebody else's immediates never end, libuv is right.
      if (this.#node.hasImmediates()) this.#silentTurns = 0;
      else this.#tell('a pending immediate cannot be hidden from libuv, which then says nothing of its timers');
    }
    return libuvMs === 0 && this.#isBlind ? IO.blindWaitMs : libuvMs;
  }

  #tell(why: string): void {
    const remedy = 'use the Node.js that the project pins, or WEFT_IO=node';
    this.#mishaps.report(
      'process',
      new WeftError('WEFT_LOOP', `the I/O core goes round libuv in every turn: ${why}`, { remedy }),
    );
  }
}
