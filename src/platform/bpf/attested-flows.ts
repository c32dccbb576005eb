import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { IpAddress } from '#model/address/ip.ts';
import { type Identity, tryParseIdentity } from '#model/identity/identity.ts';
import { MAPS } from '#model/kernel/maps.ts';
import { openPinnedMap } from './map.ts';
import { mapsDirectory } from './pins.ts';

/** Both ends of an accepted socket. */
export type SocketEnds = { remote: { ip: IpAddress; port: number }; local: { ip: IpAddress; port: number } };

/** Who opened a connection on this node and where to, as the kernel saw it happen. */
export type Attestation = { uid: string; identity: Identity; dialled: { ip: IpAddress; port: number } };

/** Reads the node's pinned records of attested flows; only the kernel writes them. */
export type AttestedFlows = { find(ends: SocketEnds): Attestation | null; close(): void };

/**
 * Follows the pins: an agent that had to start afresh has made other maps, and what it attests stands in those alone.
 * Errors: WEFT_BPF_PIN when no agent has made the maps.
 */
export function openAttestedFlows(pinDir: string): AttestedFlows {
  const directory = mapsDirectory(pinDir);
  let opened = open(directory);
  return {
    find(ends) {
      const pin = pinOf(directory);
      if (pin !== null && pin !== opened.pin) {
        const former = opened;
        opened = open(directory);
        former.close();
      }
      return find(opened, ends);
    },
    close: () => opened.close(),
  };
}

type Opened = ReturnType<typeof open>;

function open(directory: string) {
  const pin = pinOf(directory); // first: what is replaced in between is noticed at the next look
  const attested = openPinnedMap(join(directory, 'attested'), MAPS.attested);
  const names = openPinnedMap(join(directory, 'names'), MAPS.names);
  const close = (): void => {
    attested.close();
    names.close();
  };
  return { pin, attested, names, close };
}

function find({ attested, names }: Opened, { remote, local }: SocketEnds): Attestation | null {
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
}

/** Null while there is none. */
function pinOf(directory: string): number | null {
  return statSync(join(directory, 'attested'), { throwIfNoEntry: false })?.ino ?? null;
}
