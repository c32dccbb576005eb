import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { connect, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '#model/effects/clock.ts';
import { WeftError } from '#model/error.ts';
import { DNS } from '#model/settings/dns.ts';
import { exchangeTcp, exchangeUdp, type UpstreamReply } from '#platform/dns-upstream/exchange.ts';
import type { Nameserver, ResolvConfSource } from '#platform/dns-upstream/resolv-conf.ts';
import { withId } from '#protocol/dns/upstream-reply.ts';
import { RCODE } from '#protocol/dns/wire.ts';

/** For whom a query is forwarded, how it came, and until when it is of use. */
export type UpstreamContext = { workload: string; transport: 'udp' | 'tcp'; signal: AbortSignal };

/** Carries queries to the machine's nameservers. */
export type DnsUpstream = {
  /**
   * The reply to `query` (a whole, well-formed message), under the query's own id. Nameservers are asked in order; one that
   * is silent, unreachable or says SERVFAIL, NOTIMP or REFUSED is passed over. A truncated UDP reply is fetched again over TCP.
   * Errors: WEFT_DNS_UPSTREAM when no nameserver replied, or the signal's reason.
   */
  exchange(query: Buffer, context: UpstreamContext): Promise<Buffer>;
};

/** Where the nameservers are written and what they are reached by. */
export type DnsUpstreamOptions = {
  resolvConf: ResolvConfSource;
  sockets: UpstreamSockets;
  clock: Clock;
  /** A number in [0, 65536), not to be foreseen by others. */
  randomId?: () => number;
};

const PASSED_OVER: ReadonlySet<number> = new Set([RCODE.servFail, RCODE.notImp, RCODE.refused]);

/** An upstream that holds nothing open between queries. */
export function createDnsUpstream(options: DnsUpstreamOptions): DnsUpstream {
  const randomId = options.randomId ?? (() => randomInt(0x1_0000));
  return {
    async exchange(query, context) {
      const { nameservers, timeoutMs, attempts } = await options.resolvConf.current();
      const failures: string[] = [];
      for (let attempt = 0; attempt < attempts; attempt++) {
        let poorReply: UpstreamReply | null = null;
        for (const nameserver of nameservers) {
          const sent = withId(query, randomId()); // a new id each time: a late reply to an earlier try must not fit
          try {
            const reply = await tryNameserver(options, nameserver, sent, {
              ...context,
              tryMs: Math.min(DNS.tryMsMax, timeoutMs),
            });
            if (!PASSED_OVER.has(reply.rcode)) return withId(reply.bytes, query.readUInt16BE(0));
            poorReply ??= reply;
          } catch (error) {
            context.signal.throwIfAborted();
            failures.push(`${nameserver.address}: ${error instanceof Error ? error.message : String(error)}`);
          }
        }
        if (poorReply !== null) return withId(poorReply.bytes, query.readUInt16BE(0));
      }
      throw noReply(failures);
    },
  };
}

type Try = UpstreamContext & { tryMs: number };

async function tryNameserver(
  options: DnsUpstreamOptions,
  nameserver: Nameserver,
  query: Buffer,
  context: Try,
): Promise<UpstreamReply> {
  const { sockets } = options;
  const overTcp = (): Promise<UpstreamReply> =>
    limited(options.clock, context, async (signal) =>
      exchangeTcp(await sockets.tcp(nameserver, context.workload), query, signal),
    );
  if (context.transport === 'tcp') return overTcp();
  const reply = await limited(options.clock, context, async (signal) =>
    exchangeUdp(await sockets.udp(nameserver, context.workload), nameserver, query, signal),
  );
  if (!reply.truncated) return reply;
  // Without TCP the truncated reply is still the best there is, and says so by its TC bit.
  return overTcp().catch(() => reply);
}

async function limited<T>(clock: Clock, { signal, tryMs }: Try, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const abort = new AbortController();
  const given = (): void => abort.abort(signal.reason);
  const cancel = clock.after(tryMs, () => abort.abort(new Error(`no reply in ${tryMs} ms`)));
  signal.addEventListener('abort', given, { once: true });
  try {
    return await work(abort.signal);
  } finally {
    cancel();
    signal.removeEventListener('abort', given);
  }
}

function noReply(failures: readonly string[]): WeftError {
  const [remedy, why] =
    failures.length === 0
      ? ['add a "nameserver" line to /etc/resolv.conf', 'resolv.conf names no nameserver']
      : ['check the "nameserver" lines of /etc/resolv.conf and the way to those servers', failures.join('; ')];
  return new WeftError('WEFT_DNS_UPSTREAM', `no nameserver replied: ${why}`, { remedy });
}

/**
 * Makes the sockets that queries go out by. A query of a workload should leave from that workload's network namespace, so
 * that what restricts its network restricts its DNS; a nameserver on loopback, though, is only reachable from the agent's own.
 */
export type UpstreamSockets = {
  /** A fresh datagram socket, not yet connected: each query gets a port of its own. The caller closes it. */
  udp(nameserver: Nameserver, workload: string): Promise<Socket>;
  /** A connecting or connected stream; it fails by its `error` event. The caller destroys it. */
  tcp(nameserver: Nameserver, workload: string): Promise<Duplex>;
};

/** Sockets of the network namespace this process runs in, whatever the workload. */
export const ownNamespaceSockets: UpstreamSockets = {
  udp: async (nameserver) => createSocket(isIP(nameserver.address) === 6 ? 'udp6' : 'udp4'),
  tcp: async (nameserver) => connect({ host: nameserver.address, port: nameserver.port, noDelay: true }),
};
