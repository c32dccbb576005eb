import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import { rangesOverlap } from '#model/instance/holding.ts';

/** Which node has which ranges, in the state directory. */
const POOLS_NAME = 'address-pools.json';

/** The last network of the range that nodes are given theirs from. Fixed by that range: 10.41.0.0/16 in networks of 256 addresses. */
const LAST_NETWORK = 255;

/**
 * The ranges of addresses that workloads of each node lie in. No two nodes have the same address, whoever asked for it first; a
 * node keeps what it has, over restarts and revoked tokens, until it is said to be gone.
 */
export class AddressPools {
  readonly #store: StateStore;
  #ranges: ReadonlyMap<string, readonly string[]>;
  /** Ends when the change before has: two at once would be given the same free range, or forget one another's. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(store: StateStore, ranges: ReadonlyMap<string, readonly string[]>) {
    this.#store = store;
    this.#ranges = ranges;
  }

  /** Errors: WEFT_STATE_DIR; WEFT_POOLS when what was kept cannot be read. */
  static async open(store: StateStore): Promise<AddressPools> {
    return new AddressPools(store, readRanges(await store.read(POOLS_NAME)));
  }

  /**
   * The ranges that a node has from now on: those that are asked for; when none are, those it has, or else free ones of its own.
   * Errors: WEFT_POOL_TAKEN with the node that has part of them, WEFT_POOLS_FULL, WEFT_STATE_DIR.
   */
  assign(node: string, asked: readonly string[]): Promise<readonly string[]> {
    return this.#inTurn(() => this.#assignNow(node, asked));
  }

  async #assignNow(node: string, asked: readonly string[]): Promise<readonly string[]> {
    const others = [...this.#ranges].flatMap(([other, ranges]) =>
      other === node ? [] : ranges.map((range) => ({ other, range })),
    );
    for (const wanted of asked) {
      const taken = others.find(({ range }) => rangesOverlap(wanted, range));
      if (taken !== undefined) throw takenBy(wanted, taken.range, taken.other);
    }
    const ranges = asked.length > 0 ? asked : (this.#ranges.get(node) ?? freeRanges(others.map(({ range }) => range)));
    await this.#keep(new Map(this.#ranges).set(node, ranges));
    return ranges;
  }

  /** Takes what another replica has kept: before this one assigns any. Errors: those of `open`. */
  reload(): Promise<void> {
    return this.#inTurn(async () => {
      this.#ranges = readRanges(await this.#store.read(POOLS_NAME));
    });
  }

  /** Gives what a node has to whoever asks next. Errors: WEFT_STATE_DIR. */
  free(node: string): Promise<void> {
    return this.#inTurn(async () => {
      const ranges = new Map(this.#ranges);
      if (ranges.delete(node)) await this.#keep(ranges);
    });
  }

  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const done = this.#turn.then(change);
    this.#turn = done.catch(() => {}); // told to whoever asked for it
    return done;
  }

  /** Written down first: what is handed out and then forgotten would be handed out twice. */
  async #keep(ranges: ReadonlyMap<string, readonly string[]>): Promise<void> {
    const text = JSON.stringify(Object.fromEntries(ranges), null, 2);
    if (text !== JSON.stringify(Object.fromEntries(this.#ranges), null, 2))
      await this.#store.write(POOLS_NAME, text, { secret: false });
    this.#ranges = ranges;
  }
}

/** How ranges are written that are given here. */
const OWN_FORM = /^(10\.41\.\d{1,3}\.0\/24|fd41:0:0:[0-9a-f]{1,3}::\/64)$/;

/** The first network of each family is that of weft up, where nobody says otherwise. */
function freeRanges(taken: readonly string[]): readonly string[] {
  const known = new Set(taken);
  const odd = taken.filter((range) => !OWN_FORM.test(range));
  for (let at = 1; at <= LAST_NETWORK; at++) {
    const ranges = [`10.41.${at}.0/24`, `fd41:0:0:${(at + 1).toString(16)}::/64`];
    // Of those that were given here, two are one or have nothing in common.
    if (ranges.some((range) => known.has(range))) continue;
    if (!ranges.some((range) => odd.some((other) => rangesOverlap(range, other)))) return ranges;
  }
  throw new WeftError('WEFT_POOLS_FULL', `${LAST_NETWORK} nodes have a range of their own, and there are no more`, {
    remedy: 'name others with --addresses, or free those of nodes that are gone: weft token NODE --revoke --free-addresses',
  });
}

function takenBy(wanted: string, range: string, node: string): WeftError {
  return new WeftError('WEFT_POOL_TAKEN', `${wanted} overlaps with ${range} of node ${node}`, {
    remedy: `leave --addresses out and get free ones, name others, or free those of a node that is gone: weft token ${node} --revoke --free-addresses`,
  });
}

function readRanges(text: string | null): ReadonlyMap<string, readonly string[]> {
  try {
    const entries = Object.entries(JSON.parse(text ?? '{}') as Record<string, unknown>);
    return new Map(
      entries.map(([node, ranges]) => {
        if (Array.isArray(ranges) && ranges.every((range) => typeof range === 'string')) return [node, ranges];
        throw new Error(`${node} has no ranges`);
      }),
    );
  } catch (cause) {
    // To take it for empty would give addresses away that are in use.
    throw new WeftError('WEFT_POOLS', `${POOLS_NAME} in the state directory cannot be read`, {
      cause,
      remedy: 'restore the file from a backup; or remove it, and make every token anew with the ranges that its node has',
    });
  }
}
