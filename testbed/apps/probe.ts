// The checks' hands inside a workload: does what it is told on standard input, says what it saw on standard output.
//   node probe.ts          (one JSON object per line; see probe-protocol.ts)
import { lookup } from 'node:dns/promises';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { unreachable } from '#model/error.ts';
import { dialEcho, openStream, type Stream } from './echo-dial.ts';
import { httpLoad } from './http-load.ts';
import type { ProbeLine, ProbeRequest, ResolveAnswer, StreamState } from './probe-protocol.ts';

const held = new Map<number, Socket>();
const streams = new Map<number, Stream>();

async function perform(request: ProbeRequest): Promise<unknown> {
  switch (request.op) {
    case 'connect': {
      const { answer, socket } = await dialEcho(request);
      if (socket !== null) held.set(request.id, socket);
      return answer;
    }
    case 'stream': {
      const stream = await openStream(request);
      if (typeof stream === 'string') return { error: stream };
      streams.set(request.id, stream);
      return { error: null };
    }
    case 'stream-state':
      return streamState(request.target);
    case 'close':
      return close(request.target);
    case 'http':
      return httpLoad(request);
    case 'resolve':
      return resolveName(request.name, request.family);
    default:
      return unreachable(request);
  }
}

function streamState(target: number): StreamState {
  const stream = streams.get(target);
  if (stream === undefined) throw new Error(`no stream ${target}`);
  return stream.state();
}

/** Closes a held connection or a stream, whichever has that id; none is fine. */
function close(target: number): object {
  held.get(target)?.destroy();
  streams.get(target)?.close();
  held.delete(target);
  streams.delete(target);
  return {};
}

/** Through getaddrinfo, as apps do: /etc/resolv.conf, its search list and its options apply. */
async function resolveName(name: string, family: 4 | 6): Promise<ResolveAnswer> {
  try {
    const found = await lookup(name, { family, all: true });
    return { addresses: found.map(({ address }) => address), error: null };
  } catch (error) {
    return { addresses: [], error: (error as NodeJS.ErrnoException).code ?? String(error) };
  }
}

/** Whole lines in one write each, so that answers of concurrent requests do not mix. */
function say(line: ProbeLine | object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const request = JSON.parse(line) as ProbeRequest;
    perform(request).then(
      (answer) => say({ id: request.id, answer }),
      (error: unknown) => say({ id: request.id, failure: String(error) }),
    );
  })
  .on('close', () => process.exit(0));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0));
say({ event: 'listening', service: 'probe', pid: process.pid });
