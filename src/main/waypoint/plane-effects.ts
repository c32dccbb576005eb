import { randomBytes } from 'node:crypto';
import { familyOf, type IpAddress } from '#model/address/ip.ts';
import type { Dialled } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { SHOWN_VARIABLE } from '#model/telemetry/rules.ts';
import type { AttestedFlows } from '#platform/bpf/attested-flows.ts';
import { turnClock } from '#platform/clock.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer } from '#platform/hbone/server.ts';
import type { Io } from '#platform/io/io.ts';
import { TlsOrigin } from '#platform/io/tls/originate.ts';
import { jwtKeysOf } from '#platform/jwt/key-set.ts';
import { boundSilence, ownTcpSocket } from '#platform/linux/netns/sockets.ts';
import { pooledUuids, systemRandom } from '#platform/random.ts';
import type { Http2Engine } from '#protocol/http/message.ts';
import { connectHttp2 } from '#protocol/http/v2/client-connection.ts';
import { acceptHttp2 } from '#protocol/http/v2/server-connection.ts';
import { relayed } from '#protocol/stream/relay.ts';
import type { PlaneEffects } from '#waypoint/plane/data-plane.ts';

/** What the effects of one that serves are made of, in whichever thread it does. */
export type PlaneParts = {
  io: Io;
  /** Who opened a connection on this node. */
  flows: Pick<AttestedFlows, 'find'>;
  certificates: { get(identity: Identity): Promise<Credentials>; current(identity: Identity): Credentials | null };
  meters: Meters;
  clock: Clock;
  log: Log;
  mishaps: Mishaps;
};

/** The real effects of one that serves the connections of a waypoint. */
export function planeEffects({ io, flows, certificates, meters, clock: exact, log, mishaps }: PlaneParts): PlaneEffects {
  const clock = turnClock(exact);
  const credentials: PlaneEffects['credentials'] = (identity) => certificates.get(identity);
  const current = (identity: Identity): Credentials | null => certificates.current(identity);
  const dial = (ip: IpAddress, port: number): Promise<Dialled> => dialFrom(io, ip, port, true);
  const origin = new TlsOrigin(io);
  return {
    ...{ meters, clock, random: systemRandom, log, mishaps, credentials, randomBytes },
    newUuid: pooledUuids(),
    shownVariable: (name) => (name.startsWith(SHOWN_VARIABLE) ? (process.env[name] ?? null) : null),
    jwtKeys: jwtKeysOf,
    listen: (fd, accept) => io.listen(fd, accept),
    attest: (ends) => flows.find(ends),
    // The kernel goes direct to an endpoint of this node.
    dialDirect: (_workload, ip, port) => dialFrom(io, ip, port, false),
    originate: origin.secure.bind(origin),
    relay: relayed,
    createPool: () => createClientPool({ io, dial, credentials, current, clock, random: systemRandom, log, mishaps }),
    createServer: (server) => createHboneServer({ ...server, io, clock, log, mishaps }),
    http2: ownHttp2(clock),
  };
}

/** HTTP/2 by the codec that carries the tunnels as well. */
function ownHttp2(clock: Clock): Http2Engine {
  return {
    accept: (stream, handler, early) => acceptHttp2(stream, handler, clock, early),
    connect: (stream, owner) => connectHttp2(stream, owner, clock),
  };
}

/** Connects to an app, or to another proxy: a connection to one ends when its node is gone. */
async function dialFrom(io: Io, ip: IpAddress, port: number, isPeer: boolean): Promise<Dialled> {
  const fd = ownTcpSocket(familyOf(ip));
  if (isPeer) boundSilence(fd);
  return io.connect(fd, { ip, port }, TUNNEL.connectTimeoutMs);
}
