/**
 * One HTTP/2 connection to a service, as the channel of a gRPC client, driven by lines: "withdraw COUNT" begins so many calls
 * that nobody answers and withdraws them at once; "ask" makes one that is answered. Argument: the URL. Prints
 * `{"channel": …}` for each: the status, or why there is none.
 */
import { once } from 'node:events';
import http2 from 'node:http2';
import { createInterface } from 'node:readline';

const ASK_MS = 5_000;
const BEGUN_MS = 20;
/** Fewer than a server takes at once: what waits in the client has not been asked for. */
const AT_ONCE = 80;
const channel = http2.connect(process.argv[2] ?? '');
let gone = '';
channel.on('error', (error) => {
  gone ||= error.message; // GOAWAY says more
});
channel.on('goaway', (code, _last, reason) => {
  gone = `GOAWAY ${code} ${String(reason ?? '')}`;
});

async function withdraw(count: number): Promise<string> {
  for (let left = count; left > 0; left -= AT_ONCE) {
    const calls = Array.from({ length: Math.min(left, AT_ONCE) }, () =>
      channel.request({ ':method': 'POST', ':path': '/waits' }),
    );
    // An error is no more than an end here: the channel tells why.
    const closed = calls.map((call) => new Promise((resolve) => call.on('error', () => {}).on('close', resolve)));
    await new Promise((resolve) => setTimeout(resolve, BEGUN_MS)); // they are on their way
    for (const call of calls) call.close(http2.constants.NGHTTP2_CANCEL);
    await Promise.all(closed);
  }
  return 'withdrawn';
}

async function ask(): Promise<string> {
  const call = channel.request({ ':path': '/' }, { signal: AbortSignal.timeout(ASK_MS) });
  const [headers] = (await once(call, 'response')) as [http2.IncomingHttpHeaders];
  call.resume();
  return String(headers[':status']);
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const [verb, count] = line.split(' ');
  const outcome = await (verb === 'withdraw' && gone === '' ? withdraw(Number(count)) : ask()).catch(String);
  await new Promise((resolve) => setTimeout(resolve, BEGUN_MS));
  console.log(JSON.stringify({ channel: gone || outcome }));
});
channel.on('connect', () => console.log(JSON.stringify({ event: 'listening', pid: process.pid })));
