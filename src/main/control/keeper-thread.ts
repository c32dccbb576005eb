import { parentPort } from 'node:worker_threads';
import { KeptState, type PieceStore } from '#control-plane/kept/kept-state.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { CONTROL, RESOURCE } from '#model/settings/control-planes.ts';
import { readList, readPiece, writeList, writePiece } from '#platform/files/kept-pieces.ts';
import { HelperThread } from '#platform/program/helper-thread.ts';

/** What such a thread is started with. */
export type KeeperData = { readonly kind: 'weft-keeper-thread'; readonly directory: string };

type Part = { kind: 'piece'; bytes: Uint8Array } | { kind: 'list'; list: string; ids: readonly string[] };
type Answer = { id: string; problem: string | null };

/** Writes pieces in a thread of its own, since the disk may take its time, for as long as the control plane wants it. */
export function keepInThread({ directory }: KeeperData): void {
  const port = parentPort;
  if (port === null) throw new Error('a thread that keeps state is started by a control plane');
  port.on('message', (part: Part) => port.postMessage(answerTo(directory, part)));
}

function answerTo(directory: string, part: Part): Answer {
  try {
    if (part.kind === 'piece') return { id: writePiece(directory, part.bytes), problem: null };
    writeList(directory, part.list, part.ids);
    return { id: '', problem: null };
  } catch (error) {
    return { id: '', problem: messageOf(error) };
  }
}

/** What is kept in a directory, null: nothing; from `from` addresses and policies on, undefined: the default. */
export function keptStateIn(
  directory: string | null,
  { build, from, clock, log }: { build: string; from: number | undefined; clock: Clock; log: Log },
): { state: KeptState | null; close(): void } {
  if (directory === null) return { state: null, close() {} };
  const store = pieceKeeper(directory, clock);
  const state = new KeptState({ store, build, from: from ?? CONTROL.keepStateFrom, clock, log });
  return { state, close: () => store.close() };
}

/** Pieces in a directory, written by such a thread. */
function pieceKeeper(directory: string, clock: Clock): PieceStore & { close(): void } {
  const data: KeeperData = { kind: 'weft-keeper-thread', directory };
  const thread = new HelperThread<Part, Answer>(data, RESOURCE.readerIdleMs, clock);
  const ask = async (part: Part): Promise<string> => {
    const [answer = { id: '', problem: 'it was not answered' }] = await thread.ask([part]);
    if (answer.problem !== null) throw new Error(answer.problem);
    return answer.id;
  };
  return {
    readList: () => readList(directory),
    read: (id) => readPiece(directory, id),
    write: (bytes) => ask({ kind: 'piece', bytes }),
    async writeList(list, ids) {
      await ask({ kind: 'list', list, ids });
    },
    close: () => thread.close(),
  };
}
