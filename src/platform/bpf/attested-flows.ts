import { join } from 'node:path';
import type { IpAddress } from '#model/address/ip.ts';
import { type Identity, tryParseIdentity } from '#model/identity/identity.ts';
import { MAPS } from '#model/kernel/maps.ts';
import { openPinnedMap } from './map.ts';

/** Both ends of an accepted socket. */
export type SocketEnds = { remote: { ip: IpAddress; port: number }; local: { ip: IpAddress; port: number } };

/** Who opened a connection on this node and where to, as the kernel saw it happen. */
export type Attestation = { uid: string; identity: Identity; dialled: { ip: IpAddress; port: number } };

/** Reads the node's pinned records of attested flows; only the kernel writes them. */
export type AttestedFlows = { find(ends: SocketEnds): Attestation | null };

/** Errors: WEFT_BPF_PIN when no agent has made the maps. */
export function openAttestedFlows(pinDir: string): AttestedFlows {
  const attested = openPinnedMap(join(pinDir, 'maps', 'attested'), MAPS.attested);
  const names = openPinnedMap(join(pinDir, 'maps', 'names'), MAPS.names);
  return {
    find({ remote, local }) {
      const origin = attested.get({
        netnsCookie: 0n,
        source: remote.ip,
        destination: local.ip,
        sourcePort: remote.port,
        destinationPort: local.port,
      });
      if (origin === null || origin.dialled === null) return null;
      const name = names.get(origin.sourceId);
      const identity = name === null ? null : tryParseIdentity(name.identity);
      if (name === null || identity === null) return null;
      return { uid: name.uid, identity, dialled: { ip: origin.dialled, port: origin.dialledPort } };
    },
  };
}
