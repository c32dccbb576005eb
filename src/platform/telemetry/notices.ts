import { systemClock } from '#platform/clock.ts';
import { LineBuffer, outletTo } from './line-buffer.ts';

const BUFFERS = new Map<number, LineBuffer>();

/**
 * Tells the person at a terminal a sentence with its newline, without ever waiting: whoever looks after other processes must not stand
 * still because a reader has, or because the terminal is gone. What the reader does not take now is offered again, also at the end of
 * this process. `descriptor`: standard output or error.
 */
export function tell(text: string, descriptor: 1 | 2 = 2): void {
  const buffer = BUFFERS.get(descriptor) ?? openBuffer(descriptor);
  buffer.write(text);
  buffer.flush();
}

function openBuffer(descriptor: number): LineBuffer {
  const notice = (leftOut: number): string => `weft: ${leftOut} lines had no reader\n`;
  const buffer = new LineBuffer({ outlet: outletTo(descriptor), clock: systemClock, notice });
  process.on('exit', () => buffer.flush());
  BUFFERS.set(descriptor, buffer);
  return buffer;
}
