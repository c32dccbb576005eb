import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type TLSSocket } from 'node:tls';
import { splitHostPort } from '#model/address/ip.ts';
import type { ControlAnswer } from '#model/check/trust.ts';
import { messageOf } from '#model/error.ts';
import { CHECK } from '#model/settings/checks.ts';

/** A call that no control plane has: it is answered without a look at who asks. */
const NO_SUCH_CALL = '/weft.Check/Time';

/** Where a control plane is. `rootFile` null: nothing to hold its certificate against. `serverName` null: the host's. */
export type ControlPlace = { address: string; rootFile: string | null; serverName: string | null };

/** Connects to a control plane as an agent does, and asks nothing but what time it is there. Never rejects. */
export async function surveyControl({ address, rootFile, serverName }: ControlPlace): Promise<ControlAnswer> {
  const place = splitHostPort(address);
  if (place === null) return { kind: 'silent', reason: 'the address is malformed' };
  const name = serverName ?? place.host;
  const socket = connect({
    host: place.host,
    port: place.port,
    // An IP address is no name for SNI; it is compared with the certificate all the same.
    ...(/[a-z]/i.test(name) && !name.includes(':') ? { servername: name } : {}),
    ALPNProtocols: ['h2'],
    // What is wrong with the certificate is the result: nothing secret is sent.
    rejectUnauthorized: false,
    ...(rootFile === null ? {} : { ca: readFileSync(rootFile) }),
  });
  try {
    const answer = await within(Promise.all([secured(socket), askTime(socket, address)]), socket);
    const [, { clockMs, nowMs }] = answer;
    const { trust, reason } = trustOf(socket);
    return { kind: 'answered', trust: rootFile === null ? 'trusted' : trust, reason, clockMs, nowMs };
  } catch (error) {
    return { kind: 'silent', reason: messageOf(error) };
  } finally {
    socket.destroy();
  }
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('it closed the connection')));
  });
}

async function within<T>(work: Promise<T>, socket: TLSSocket): Promise<T> {
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${CHECK.probeMs / 1_000} s`)), CHECK.probeMs);
  return work.finally(() => clearTimeout(timer));
}

/** Its clock by the header `date`, in whole seconds, so half of one is added; null when it tells none. */
async function askTime(socket: TLSSocket, address: string): Promise<{ clockMs: number | null; nowMs: number }> {
  await secured(socket);
  if (socket.alpnProtocol !== 'h2') throw new Error('what answers is no control plane: it does not speak HTTP/2');
  const session = connectHttp2(`https://${address}`, { createConnection: () => socket });
  try {
    const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
      session.once('error', reject);
      const call = session.request({
        ':method': 'POST',
        ':path': NO_SUCH_CALL,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      call.once('response', resolve);
      call.once('error', reject);
      call.end();
    });
    const told = Date.parse(String(headers.date));
    return { clockMs: Number.isNaN(told) ? null : told + 500, nowMs: Date.now() };
  } finally {
    session.destroy();
  }
}

function trustOf(socket: TLSSocket): { trust: 'trusted' | 'wrong-root' | 'wrong-name' | 'expired'; reason: string } {
  const error: unknown = socket.authorizationError;
  if (error === null || error === undefined) return { trust: 'trusted', reason: '' };
  const [code, reason] =
    error instanceof Error ? ['code' in error ? String(error.code) : '', error.message] : [String(error), String(error)];
  if (/ALTNAME|HOSTNAME/.test(code)) return { trust: 'wrong-name', reason };
  return { trust: /EXPIRED|NOT_YET_VALID/.test(code) ? 'expired' : 'wrong-root', reason };
}
