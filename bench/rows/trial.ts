import type { Peer, Row, RowName } from '../report/report.ts';
import { rowOf } from '../report/report.ts';

/** Figures of one run, by name; what they are called is between a trial's sides and its rows. */
export type Figures = Readonly<Record<string, number>>;

/** Runs once and returns what was measured. */
export type Side = () => Promise<Figures>;

/** What is run on the mesh and on each peer in turn, and the rows that come of it. */
export type Trial = {
  rounds: number;
  weft: Side;
  peers: Partial<Record<Peer, Side>>;
  /** `figure` names one of the figures of each side; `peers`: against these only. */
  rows: readonly (RowName & { figure: string; peers?: readonly Peer[] })[];
  /** What comes before the first round on each side; without it, one run that does not count. */
  warmUp?: { weft: () => Promise<unknown>; peer: () => Promise<unknown> };
};

/** Runs a trial: rounds in which every side has its turn. Returns null when it was interrupted. */
export async function runTrial(trial: Trial, interrupted: AbortSignal): Promise<Row[] | null> {
  const sides: [Peer | 'weft', Side][] = [['weft', trial.weft], ...(Object.entries(trial.peers) as [Peer, Side][])];
  for (const [name, run] of sides) {
    if (interrupted.aborted) return null;
    await (trial.warmUp === undefined ? run() : name === 'weft' ? trial.warmUp.weft() : trial.warmUp.peer());
  }
  const measured = new Map<string, Figures[]>(sides.map(([name]) => [name, []]));
  for (let round = 0; round < trial.rounds; round++) {
    for (const [name, run] of turns(sides, round)) {
      if (interrupted.aborted) return null;
      measured.get(name)?.push(await run());
    }
  }
  const figures = (side: string, figure: string): number[] => (measured.get(side) ?? []).map((one) => one[figure] ?? Number.NaN);
  return trial.rows.flatMap(({ figure, peers, ...name }) =>
    (peers ?? (Object.keys(trial.peers) as Peer[])).map((peer) =>
      rowOf(name, peer, figures('weft', figure), figures(peer, figure)),
    ),
  );
}

/** Who goes first changes from round to round, so that no side always follows the same other one. */
export function turns<Item>(items: readonly Item[], round: number): Item[] {
  const at = round % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
