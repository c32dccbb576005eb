import { WeftError } from '#model/error.ts';

/** What Weft is measured against: the least in C that does the same, HAProxy, Envoy, the kernel with nothing of ours, itself with nothing to do, itself without one feature. */
export const PEERS = ['c-relay', 'haproxy', 'envoy', 'plain', 'idle', 'off'] as const;
/** One of them. */
export type Peer = (typeof PEERS)[number];

const PRINTED_CHARACTERS_MAX = 1000;

/** Names a figure: `id` and the peer never change, so that reports of two trees can be held against each other. */
export type RowName = { id: string; metric: string };

/** One comparison: medians of both sides, and the median of the rounds' ratios, ours over theirs. */
export type Row = RowName & {
  peer: Peer;
  ratio: number;
  weft: number;
  theirs: number;
  spread: { ratio: [number, number]; weft: [number, number]; theirs: [number, number] };
};

/** A number out of the one line of JSON that the load prints. Errors: WEFT_BENCH_LOAD. */
export function parseMeasure(text: string, key: string): number {
  const match = new RegExp(`"${key}":([0-9.]+)`).exec(text);
  if (match === null)
    throw new WeftError('WEFT_BENCH_LOAD', `the load program printed no ${key}: ${text.trim()}`, {
      remedy: 'run it by hand; the machine may be too busy',
    });
  return Number(match[1]);
}

/** An error of a program that loads something and did not get through. */
export function loadFailed(program: string, printed: string): WeftError {
  return new WeftError('WEFT_BENCH_LOAD', `${program} failed: ${printed.trim().slice(0, PRINTED_CHARACTERS_MAX)}`, {
    remedy: 'read the logs of the applications; the machine may be too busy',
  });
}

/** Between the middle two when their number is even. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = 0, high = 0] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return (low + high) / 2;
}

/** The row of as many rounds as there are figures; those of one round were measured one after the other. */
export function rowOf(name: RowName, peer: Peer, weft: readonly number[], theirs: readonly number[]): Row {
  const ratios = weft.map((figure, round) => figure / (theirs[round] ?? Number.NaN));
  const spread = { ratio: rangeOf(ratios), weft: rangeOf(weft), theirs: rangeOf(theirs) };
  return { ...name, peer, ratio: median(ratios), weft: median(weft), theirs: median(theirs), spread };
}

function rangeOf(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

/** A table for people. */
export function renderRows(rows: readonly Row[]): string {
  const number = (value: number): string => (value >= 1000 ? value.toFixed(0) : value.toPrecision(3));
  const range = ([low, high]: [number, number]): string => `${number(low)}–${number(high)}`;
  const ratio = (value: number): string => value.toFixed(2);
  const cells = [
    ['id', 'what', 'Weft', '(range)', 'peer', 'figure', '(range)', 'ratio', '(range)'],
    ...rows.map(({ id, metric, peer, spread, ...row }) => [
      id,
      metric,
      number(row.weft),
      range(spread.weft),
      peer,
      number(row.theirs),
      range(spread.theirs),
      `${ratio(row.ratio)}×`,
      spread.ratio.map(ratio).join('–'),
    ]),
  ];
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0))) ?? [];
  return cells
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
