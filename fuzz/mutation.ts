import fc from 'fast-check';

/** Longest input a mutation makes: the bounds of the parsers lie below it. */
const INPUT_BYTES_MAX = 128 * 1024;
const MUTATIONS_MAX = 6;
/** Longest run that one mutation repeats; large enough to pass every bound of a header or a label. */
const REPEATS_MAX = 4096;

type Mutation =
  | { kind: 'flip'; at: number; bit: number }
  | { kind: 'set'; at: number; value: number }
  | { kind: 'insert'; at: number; bytes: Buffer }
  | { kind: 'remove'; at: number; length: number }
  | { kind: 'repeat'; at: number; length: number; times: number }
  | { kind: 'number'; at: number; width: 1 | 2 | 3 | 4; value: number }
  | { kind: 'join'; other: number };

/** Values at the edges of lengths and counters. */
const EDGES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x3fff, 0x4000, 0x7fff, 0xffff, 0xff_ffff, 0x7fff_ffff, 0xffff_ffff];

function mutation(tokens: readonly string[], seeds: number): fc.Arbitrary<Mutation> {
  const at = fc.nat(0xffff);
  const token =
    tokens.length === 0 ? fc.constant(Buffer.from(' ')) : fc.constantFrom(...tokens.map((text) => Buffer.from(text, 'latin1')));
  const bytes = fc.oneof(
    token,
    fc.uint8Array({ minLength: 1, maxLength: 16 }).map((array) => Buffer.from(array)),
  );
  return fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('set' as const), at, value: fc.nat(255) }),
    fc.record({ kind: fc.constant('insert' as const), at, bytes }),
    fc.record({ kind: fc.constant('remove' as const), at, length: fc.integer({ min: 1, max: 64 }) }),
    fc.record({
      kind: fc.constant('repeat' as const),
      at,
      length: fc.integer({ min: 1, max: 32 }),
      times: fc.integer({ min: 2, max: REPEATS_MAX }),
    }),
    fc.record({
      kind: fc.constant('number' as const),
      at,
      width: fc.constantFrom(1 as const, 2 as const, 3 as const, 4 as const),
      value: fc.constantFrom(...EDGES),
    }),
    fc.record({ kind: fc.constant('join' as const), other: fc.nat(Math.max(0, seeds - 1)) }),
  );
}

/** One mutation of a copy; positions wrap around, so that every mutation applies to every input. */
function mutate(input: Buffer, step: Mutation, seeds: readonly Buffer[]): Buffer {
  const place = (at: number): number => (input.length === 0 ? 0 : at % (input.length + 1));
  switch (step.kind) {
    case 'flip':
    case 'set': {
      const copy = Buffer.from(input);
      const at = step.at % Math.max(1, copy.length);
      if (copy.length > 0) copy[at] = step.kind === 'set' ? step.value : (copy[at] ?? 0) ^ (1 << step.bit);
      return copy;
    }
    case 'insert': {
      const at = place(step.at);
      return Buffer.concat([input.subarray(0, at), step.bytes, input.subarray(at)]);
    }
    case 'remove': {
      const at = place(step.at);
      return Buffer.concat([input.subarray(0, at), input.subarray(at + step.length)]);
    }
    case 'repeat': {
      const at = place(step.at);
      const run = input.subarray(at, at + step.length);
      const times = Math.min(step.times, Math.floor(INPUT_BYTES_MAX / Math.max(1, run.length)));
      return Buffer.concat([input.subarray(0, at), ...new Array<Buffer>(times).fill(run), input.subarray(at + step.length)]);
    }
    case 'number': {
      const number = Buffer.alloc(4);
      number.writeUInt32BE(step.value);
      const at = place(step.at);
      return Buffer.concat([input.subarray(0, at), number.subarray(4 - step.width), input.subarray(at + step.width)]);
    }
    case 'join':
      return Buffer.concat([input, seeds[step.other] ?? Buffer.alloc(0)]);
  }
}

/** What one run is given. */
export type FuzzCase = { bytes: Buffer; cut: number };

/** Inputs close to those of a corpus: a seed with a few mutations, seldom bytes of pure chance. They shrink. */
export function mutants(seeds: readonly Buffer[], tokens: readonly string[]): fc.Arbitrary<FuzzCase> {
  const near = fc
    .tuple(fc.constantFrom(...seeds), fc.array(mutation(tokens, seeds.length), { maxLength: MUTATIONS_MAX }))
    .map(([seed, steps]) => steps.reduce((input, step) => mutate(input, step, seeds), seed).subarray(0, INPUT_BYTES_MAX));
  const chance = fc.uint8Array({ maxLength: 256 }).map((array) => Buffer.from(array));
  return fc
    .tuple(fc.oneof({ weight: 15, arbitrary: near }, { weight: 1, arbitrary: chance }), fc.nat(0xffff))
    .map(([bytes, cut]) => ({ bytes, cut: bytes.length === 0 ? 0 : cut % (bytes.length + 1) }));
}
