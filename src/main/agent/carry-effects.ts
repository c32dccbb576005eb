import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import type { ControlSide } from '#node-agent/effects/agent-effects.ts';
import type { DataEffects } from '#node-agent/effects/data-effects.ts';
import { createClientPool } from '#platform/hbone/client-pool.ts';
import { createHboneServer } from '#platform/hbone/server.ts';
import type { Io } from '#platform/io/io.ts';
import { CarriedNamespace, type DialMaps } from '#platform/linux/netns/carried-namespace.ts';
import { pooledRandomBytes, systemRandom } from '#platform/random.ts';
import { Revocations } from '#protocol/identity/revocation.ts';

/** What the effects of one that carries are made of, in whichever thread it does. */
export type CarryParts = {
  io: Io;
  maps: DataEffects['maps'] & DialMaps;
  certificates: { get(identity: Identity): Promise<Credentials>; current(identity: Identity): Credentials | null };
  clock: Clock;
  log: Log;
  mishaps: Mishaps;
};

/** The real effects of one that carries connections. */
export function carryEffects(
  { io, maps, certificates, clock, log, mishaps }: CarryParts,
  { meters, shares, threads }: Pick<ControlSide, 'meters' | 'shares'> & { threads: number },
): DataEffects {
  const current: CarryParts['certificates']['current'] = (identity) => certificates.current(identity);
  const credentials: DataEffects['credentials'] = (identity) => certificates.get(identity);
  const revocations = new Revocations();
  return {
    revocations,
    ...{ maps, credentials, meters, shares, threads, clock, random: systemRandom, log, mishaps },
    // Its sockets are opened inside a namespace, and stay there when the thread is back in the node's own.
    openNamespace: (netnsFd, cookie) => new CarriedNamespace(netnsFd, cookie, maps, io),
    createPool: (dial) =>
      createClientPool({ revocations, io, dial, credentials, current, clock, random: systemRandom, log, mishaps }),
    createHboneServer: (server) => createHboneServer({ ...server, revocations, io, clock, log, mishaps, threads }),
    randomBytes: pooledRandomBytes(),
  };
}
