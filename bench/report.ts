import { WeftError } from '#model/error.ts';

/** One comparison: medians of both sides, and their ratio. */
export type Row = {
  name: string;
  metric: string;
  weft: number;
  peer: number;
  peerName: string;
  ratio: number;
  spread: { weft: [number, number]; peer: [number, number] };
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

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = 0, high = 0] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return (low + high) / 2;
}

export function rowOf(
  names: { name: string; metric: string; peerName: string },
  weft: readonly number[],
  peer: readonly number[],
): Row {
  const [ours, theirs] = [median(weft), median(peer)];
  const spread = { weft: rangeOf(weft), peer: rangeOf(peer) };
  return { ...names, weft: ours, peer: theirs, ratio: ours / theirs, spread };
}

function rangeOf(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

/** A table for people; the ratio is Weft's figure over the peer's. */
export function renderRows(rows: readonly Row[]): string {
  const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  const range = ([low, high]: [number, number]): string => `${number(low)}–${number(high)}`;
  const cells = [
    ['path', 'metric', 'Weft', '(range)', 'peer', '(range)', 'ratio', 'peer is'],
    ...rows.map((row) => [
      row.name,
      row.metric,
      number(row.weft),
      range(row.spread.weft),
      number(row.peer),
      range(row.spread.peer),
      `${row.ratio.toFixed(2)}×`,
      row.peerName,
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
