import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { LineCutter, type LogPiece, logLine, logTimes } from '#model/launch/log-line.ts';
import { COMMAND } from '#model/settings/host.ts';
import { systemClock } from '#platform/clock.ts';
import { LineBuffer, outletTo } from './line-buffer.ts';

/** Keeps what commands print. */
export type WorkloadLog = {
  /** Takes a stream of a command to its end. */
  take(stream: LogPiece['stream'], readable: Readable): void;
  /** Takes a sentence of whoever runs it, with its newline. */
  tell(sentence: string): void;
};

/**
 * The log of a workload in a file that `openLogFile` opened, which stays below its bound and keeps the newest lines. What cannot be
 * written is lost, and the command goes on.
 */
export function workloadLog(descriptor: number): WorkloadLog {
  const timeOf = logTimes(() => systemClock.nowMs());
  const notice = (leftOut: number): string => line('stderr', `weft: ${leftOut} lines had no place here`, true);
  const buffer = new LineBuffer({ outlet: outletTo(descriptor), clock: systemClock, notice });
  process.on('exit', () => buffer.flush());
  function line(stream: LogPiece['stream'], text: string, isWhole: boolean): string {
    return logLine({ time: timeOf(), stream, isWhole, text });
  }
  return {
    take(stream, readable) {
      const [decoder, cutter] = [new StringDecoder('utf8'), new LineCutter(COMMAND.logPieceCharactersMax)];
      readable.on('data', (chunk: Buffer) => {
        for (const { text, isWhole } of cutter.take(decoder.write(chunk))) buffer.write(line(stream, text, isWhole));
      });
      readable.once('end', () => {
        for (const { text, isWhole } of cutter.end()) buffer.write(line(stream, text, isWhole));
        buffer.flush();
      });
    },
    tell(sentence) {
      for (const text of sentence.trimEnd().split('\n')) buffer.write(line('stderr', text, true));
      buffer.flush();
    },
  };
}
