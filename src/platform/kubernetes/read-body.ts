/** More came than is taken. */
export class TooLargeError extends Error {}

/** All of a body as text. Errors: TooLargeError beyond `bytesMax`. */
export async function bounded(pieces: AsyncIterable<Buffer>, bytesMax: number): Promise<string> {
  const kept: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces) {
    size += piece.length;
    if (size > bytesMax) throw new TooLargeError(`the answer is larger than ${bytesMax} bytes`);
    kept.push(piece);
  }
  return Buffer.concat(kept, size).toString('utf8');
}

const NEWLINE = 0x0a;

/** The lines of each piece as it comes, without their ends; what is left over is no line. Errors: TooLargeError. */
export async function* linesOf(pieces: AsyncIterable<Buffer>, lineBytesMax: number): AsyncGenerator<string[], void, void> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const piece of pieces) {
    const lines: string[] = [];
    let from = 0;
    for (let end = piece.indexOf(NEWLINE); end >= 0; end = piece.indexOf(NEWLINE, from)) {
      const last = piece.subarray(from, end);
      lines.push((restBytes === 0 ? last : Buffer.concat([...rest, last])).toString('utf8'));
      [rest, restBytes, from] = [[], 0, end + 1];
    }
    if (from < piece.length) {
      rest.push(piece.subarray(from));
      restBytes += piece.length - from;
    }
    if (restBytes > lineBytesMax) throw new TooLargeError(`a line is longer than ${lineBytesMax} bytes`);
    if (lines.length > 0) yield lines.filter((line) => line !== '');
  }
}
