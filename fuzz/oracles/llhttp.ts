import { createRequire } from 'node:module';

/** What Node.js calls its parser's events by. */
type Events = Record<number, (...args: never[]) => unknown>;
type Parser = Events & {
  initialize(type: number, resource: object, headerBytesMax: number): void;
  execute(bytes: Buffer): number | Error;
};
type ParserClass = (new () => Parser) &
  Record<'REQUEST' | 'kOnHeaders' | 'kOnHeadersComplete' | 'kOnBody' | 'kOnMessageComplete', number>;

// The parser itself and not a server: one call and no event loop, which is a hundred times as fast.
const { HTTPParser } = createRequire(import.meta.url)('_http_common') as { HTTPParser: ParserClass };
const HEADER_BYTES_MAX = 64 * 1024;

/** One message as llhttp reads it: name, value, name, value; `whole`: its end was seen. */
export type ReadMessage = {
  url: string;
  headers: string[];
  body: string;
  whole: boolean;
  messages: number;
  error: string | null;
};

const read: ReadMessage = { url: '', headers: [], body: '', whole: false, messages: 0, error: null };
const parser = new HTTPParser();
parser[HTTPParser.kOnHeaders] = (headers: string[], url: string) => {
  // Behind the head they are trailers.
  if (read.messages > 0) return;
  read.headers.push(...headers);
  read.url += url;
};
parser[HTTPParser.kOnHeadersComplete] = (
  _major: number,
  _minor: number,
  headers: string[] | undefined,
  _method: number,
  url: string,
) => {
  if (++read.messages > 1) return 0;
  if (headers !== undefined) read.headers.push(...headers);
  read.url += url ?? '';
  return 0;
};
parser[HTTPParser.kOnBody] = (bytes: Buffer) => {
  if (read.messages === 1) read.body += bytes.toString('latin1');
};
parser[HTTPParser.kOnMessageComplete] = () => {
  if (read.messages === 1) read.whole = true;
};

/** The first request in `bytes`; lent until the next call. */
export function readByLlhttp(bytes: Buffer): ReadMessage {
  Object.assign(read, { url: '', headers: [], body: '', whole: false, messages: 0, error: null });
  parser.initialize(HTTPParser.REQUEST, {}, HEADER_BYTES_MAX);
  // It keeps what it is handed, and the caller's buffer changes.
  const result = parser.execute(bytes);
  if (result instanceof Error) read.error = 'code' in result ? String(result.code) : result.message;
  return read;
}
