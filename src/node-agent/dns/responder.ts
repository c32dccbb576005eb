import type { Duplex } from 'node:stream';
import type { IpAddress } from '#model/address/ip.ts';
import { servicesMeant } from '#model/dns/alias.ts';
import { type NameClient, type NameQuestion, type NameResolution, resolveName } from '#model/dns/resolve-name.ts';
import type { Random } from '#model/effects/clock.ts';
import { unreachable } from '#model/error.ts';
import { DNS } from '#model/settings/dns.ts';
import { Shares } from '#model/share/shares.ts';
import type { DnsEffects, DnsFailure, DnsLabels, DnsTransport } from '#node-agent/dns/effects.ts';
import { createForwards, type ForwardOutcome, type Forwards } from '#node-agent/dns/forwards.ts';
import { serveTcpSession } from '#node-agent/dns/tcp-session.ts';
import { encodeAliasReply, queryFor } from '#protocol/dns/alias-reply.ts';
import { answeredAddresses } from '#protocol/dns/answered-addresses.ts';
import { type DnsQuery, decodeQuery, type QueryEcho } from '#protocol/dns/query.ts';
import { encodeAbsence, encodeAnswer, encodeFailure, fitReply } from '#protocol/dns/reply.ts';
import { MESSAGE_BYTES_MAX, RCODE, type Rcode } from '#protocol/dns/wire.ts';

/** Answers queries, whichever workload they come from; `workload` is its uid. */
export type DnsResponder = {
  /** The datagram to send back; null: send nothing (the datagram was no query). Never rejects. */
  handleUdp(query: Buffer, workload: string): Promise<Buffer | null>;
  /** Serves one connection; settles when it is closed. Never rejects. */
  handleTcp(stream: Duplex, workload: string): Promise<void>;
  /** Closes every connection and gives up every forwarded query. */
  stop(): void;
};

/** Answers the DNS queries that enrolled workloads of this node send. Source: docs/rules/node-proxy.md. */
export function createDnsResponder(effects: DnsEffects): DnsResponder {
  const { limits } = effects;
  const forwards = createForwards(effects);
  // In shares, so that many workloads with all that one may have leave something to the next.
  const connections = new Shares({
    capacity: limits.connectionsMax,
    holders: () => effects.workloads(),
    ownMax: limits.connectionsPerWorkloadMax,
  });
  let stopped = false;
  const streams = new Set<Duplex>();
  const respond = (bytes: Buffer, workload: string, transport: DnsTransport): Promise<Buffer | null> =>
    answerMessage({ effects, forwards, workload, transport }, bytes);
  return {
    handleUdp: (bytes, workload) => respond(bytes, workload, 'udp'),
    async handleTcp(stream, workload) {
      const leave = stopped ? null : connections.enter(workload);
      if (leave === null) {
        effects.counters.failed('too-many-connections', 'tcp');
        effects.log.warn({ workload, connections: connections.size }, 'DNS connection refused: too many are open');
        stream.destroy();
        return;
      }
      streams.add(stream);
      try {
        await serveTcpSession({
          stream,
          respond: (query) => respond(query, workload, 'tcp'),
          clock: effects.clock,
          mistaken: (error) => effects.mishaps.report('accept', error, { workload }),
          broken(why) {
            effects.counters.failed('malformed', 'tcp');
            effects.log.debug({ workload, why }, 'DNS connection closed: not a stream of queries');
          },
        });
      } catch (error) {
        effects.mishaps.report('accept', error, { workload });
        stream.destroy();
      } finally {
        streams.delete(stream);
        leave(); // whatever went wrong: a place that is kept would never come back
      }
    },
    stop() {
      stopped = true;
      forwards.stop();
      for (const stream of streams) stream.destroy();
    },
  };
}

/** One query on its way. */
type Exchange = { effects: DnsEffects; forwards: Forwards; workload: string; transport: DnsTransport };

/** A datagram that is no query gets no answer at all: an error would make us a reflector. */
async function answerMessage(exchange: Exchange, bytes: Buffer): Promise<Buffer | null> {
  const decoding = decodeQuery(bytes);
  switch (decoding.kind) {
    case 'ignore':
      exchange.effects.counters.failed('malformed', exchange.transport);
      return null;
    case 'error':
      return fail(exchange, decoding.echo, decoding.rcode, decoding.rcode === RCODE.notImp ? 'not-implemented' : 'malformed');
    case 'query':
      return answerQuery(exchange, decoding.query);
    default:
      return unreachable(decoding);
  }
}

/** Names of the mesh here, others by the upstream; a workload that is unknown is refused, or it would see another's names. */
async function answerQuery(exchange: Exchange, query: DnsQuery): Promise<Buffer> {
  const { effects, workload, transport } = exchange;
  effects.counters.request(labelsOf(exchange, query));
  const client = effects.clientOf(workload);
  if (client === null) return fail(exchange, query.echo, RCODE.servFail, 'unknown-workload');
  const meaning = meaningOf(exchange, query, client);
  const resolution = meaning instanceof Promise ? await meaning : meaning;
  if (resolution === null) return fail(exchange, query.echo, RCODE.servFail, 'unknown-mesh');
  const bytesMax = transport === 'udp' ? query.echo.udpBytesMax : MESSAGE_BYTES_MAX;
  effects.log.debug({ workload, name: query.name, type: query.type, transport, resolution: resolution.kind }, 'DNS query');
  switch (resolution.kind) {
    case 'answer': {
      const addresses = shuffled(resolution.addresses, effects.random);
      const aliases = resolution.cname === null ? [] : [resolution.cname];
      return encodeAnswer(query.echo, { aliases, addresses, ttlSeconds: DNS.ttlSeconds }, bytesMax);
    }
    case 'empty':
      return encodeAnswer(query.echo, { aliases: [], addresses: [], ttlSeconds: DNS.absentTtlSeconds }, bytesMax);
    case 'alias':
      return answerAlias(exchange, query, resolution.target, client, bytesMax);
    case 'absent': {
      const rcode = resolution.exists ? RCODE.noError : RCODE.nxDomain;
      return encodeAbsence(query.echo, rcode, effects.names.clusterDomain, DNS.absentTtlSeconds);
    }
    case 'forward':
      return forwardQuery(exchange, query, bytesMax);
    default:
      return unreachable(resolution);
  }
}

/** What a name means; a promise where that is still to be found out. */
function meaningOf(exchange: Exchange, question: NameQuestion, client: NameClient) {
  const { effects } = exchange;
  const now = resolveName(question, client, effects.view(), effects.names);
  const isToBeAsked = now.kind === 'forward' && effects.asked !== null && question.plain !== false;
  return now.kind === 'absent' || isToBeAsked ? whenKnown(exchange, question, client) : now;
}

/**
 * That a name is absent is said only of a mesh that is wholly known, or as far as it concerns the name; null: it is not. What is passed
 * on is so all the same: what is dialled then is asked about again.
 */
async function whenKnown(
  { effects, workload }: Exchange,
  question: NameQuestion,
  client: NameClient,
): Promise<NameResolution | null> {
  const { asked, names } = effects;
  const isAsked = asked === null || (await asked(workload, servicesMeant(question.name, client, names)));
  const isSynced = await effects.synced();
  const now = resolveName(question, client, effects.view(), names);
  return now.kind !== 'absent' || (isAsked && isSynced) ? now : null;
}

/**
 * The name that it stands for, and what that has: of the mesh what the mesh says, so that connections to it take the way of the
 * mesh; of any other what the upstream says.
 */
async function answerAlias(
  exchange: Exchange,
  query: DnsQuery,
  target: string,
  client: NameClient,
  bytesMax: number,
): Promise<Buffer> {
  const { effects } = exchange;
  const aliases = [target];
  const found = (addresses: readonly IpAddress[], rcode: Rcode = RCODE.noError): Buffer =>
    encodeAnswer(
      query.echo,
      { aliases, addresses: shuffled(addresses, effects.random), ttlSeconds: DNS.ttlSeconds, rcode },
      bytesMax,
    );
  if (query.type === 'CNAME') return found([]);
  if (!(await effects.synced())) return fail(exchange, query.echo, RCODE.servFail, 'unknown-mesh');
  for (let name = target; aliases.length <= DNS.aliasesMax; ) {
    const next = await meaningOf(exchange, { name, type: query.type, plain: true }, client);
    switch (next?.kind) {
      case undefined:
        return fail(exchange, query.echo, RCODE.servFail, 'unknown-mesh');
      case 'alias':
        name = next.target;
        aliases.push(name);
        break;
      case 'answer':
        return found(next.addresses);
      case 'empty':
        return found([]);
      case 'absent':
        return found([], next.exists ? RCODE.noError : RCODE.nxDomain);
      case 'forward':
        return forwardAlias(exchange, query, aliases, bytesMax);
      default:
        return unreachable(next as never);
    }
  }
  return fail(exchange, query.echo, RCODE.servFail, 'alias-circle', { name: query.name });
}

async function forwardAlias(exchange: Exchange, query: DnsQuery, aliases: readonly string[], bytesMax: number): Promise<Buffer> {
  const asked = queryFor(query.bytes, query.echo, aliases.at(-1) ?? '');
  const outcome = await exchange.forwards.forward(asked, labelsOf(exchange, query));
  if (outcome.kind !== 'reply') return notForwarded(exchange, query, outcome);
  tell(exchange, query, aliases.at(-1) ?? '', outcome.reply);
  const reply = encodeAliasReply(query.bytes, query.echo, aliases, outcome.reply);
  if (reply !== null) return fitReply(query.echo, reply, bytesMax);
  return notForwarded(exchange, query, { kind: 'failed', error: 'the reply of the nameserver cannot be read' });
}

/** The upstream's own reply, shortened to what the client can take. */
async function forwardQuery(exchange: Exchange, query: DnsQuery, bytesMax: number): Promise<Buffer> {
  const outcome = await exchange.forwards.forward(query.bytes, labelsOf(exchange, query));
  if (outcome.kind !== 'reply') return notForwarded(exchange, query, outcome);
  tell(exchange, query, query.name, outcome.reply);
  return fitReply(query.echo, outcome.reply, bytesMax);
}

/** Whoever may reach what is answered for a name may do so before the answer is there. */
function tell({ effects, workload }: Exchange, { type, plain }: DnsQuery, name: string, reply: Buffer): void {
  if (plain && (type === 'A' || type === 'AAAA')) effects.answered(workload, name, answeredAddresses(reply, name));
}

function notForwarded(exchange: Exchange, query: DnsQuery, outcome: Exclude<ForwardOutcome, { kind: 'reply' }>): Buffer {
  switch (outcome.kind) {
    case 'full':
      return fail(exchange, query.echo, RCODE.servFail, 'too-many-queries');
    case 'failed':
      return fail(exchange, query.echo, RCODE.servFail, 'upstream-failed', { name: query.name, error: outcome.error });
    default:
      return unreachable(outcome);
  }
}

/** Mistakes of clients are no news for an operator; what we or the upstream could not do is. */
function fail(exchange: Exchange, echo: QueryEcho, rcode: Rcode, why: DnsFailure, detail: object = {}): Buffer {
  const { effects, workload, transport } = exchange;
  effects.counters.failed(why, transport);
  const level = why === 'malformed' || why === 'not-implemented' ? 'debug' : 'warn';
  effects.log[level]({ workload, transport, why, ...detail }, 'DNS query failed');
  return encodeFailure(echo, rcode);
}

/** Types without a name share one label: their number is the client's to choose, and must not become series. */
function labelsOf({ workload, transport }: Exchange, query: DnsQuery): DnsLabels {
  return { workload, transport, queryType: query.type.startsWith('UNKNOWN') ? 'OTHER' : query.type };
}

/** Clients take the first address, so its place is drawn anew for each answer. */
function shuffled(addresses: readonly IpAddress[], random: Random): readonly IpAddress[] {
  const drawn = addresses.map((address) => ({ address, lot: random() }));
  return drawn.sort((a, b) => a.lot - b.lot).map(({ address }) => address);
}
