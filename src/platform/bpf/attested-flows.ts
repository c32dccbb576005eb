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

/** The flows that a node attests; where its pins are not to be seen, none is: whoever says to come from there is refused. Errors: WEFT_BPF_PIN. */
export function flowsOf(pinDir: string | null): AttestedFlows {
  return pinDir === null ? { find: () => null, close: () => {} } : openAttestedFlows(pinDir);
}

/**
 * Follows the pins: an agent that had to start afresh has made other maps, and what it attests stands in those alone.
 * Errors: WEFT_BPF_PIN when no agent has made the maps.
 */
export function openAttestedFlows(pinDir: string): AttestedFlows {
  const directory = mapsDirectory(pinDir);
  const path = join(directory, 'attested');
  let opened = open(directory, path);
  let isLooked = false;
  const forget = (): void => {
    isLooked = false;
    opened.known.clear();
  };
  const look = (): void => {
    isLooked = true;
    SETTLED.then(forget, forget);
    const pin = pinOf(path);
    if (pin === null || pin === opened.pin) return;
    const former = opened;
    opened = open(directory, path);
    former.close();
  };
  return {
    find(ends) {
      // Once for all that are accepted in one go: between two of them nothing is heard of an agent that starts afresh either.
      if (!isLooked) look();
      return find(opened, ends);
    },
    close: () => opened.close(),
  };
}

/** Tells when the promises that are due have run. */
const SETTLED = Promise.resolve();

type Opened = ReturnType<typeof open>;

function open(directory: string, path: string) {
  const pin = pinOf(path); // first: what is replaced in between is noticed at the next look
  const attested = openPinnedMap(path, MAPS.attested);
  const names = openPinnedMap(join(directory, 'names'), MAPS.names);
  const close = (): void => {
    attested.close();
    names.close();
  };
  return { pin, attested, names, close, known: new Map<number, Name | null>() };
}

/** Whose connection it is. */
type Name = { readonly uid: string; readonly identity: Identity };

/** The name of a source, which is read once for all that are accepted in one go. */
function nameOf({ names, known }: Opened, sourceId: number): Name | null {
  const last = known.get(sourceId);
  if (last !== undefined) return last;
  const name = names.get(sourceId);
  const identity = name === null ? null : identityOf(name.identity);
  const found = name === null || identity === null ? null : { uid: name.uid, identity };
  known.set(sourceId, found);
  return found;
}

function find(opened: Opened, { remote, local }: SocketEnds): Attestation | null {
  const origin = opened.attested.get({
    netnsCookie: 0n,
    source: remote.ip,
    destination: local.ip,
    sourcePort: remote.port,
    destinationPort: local.port,
  });
  if (origin === null || origin.dialled === null) return null;
  const name = nameOf(opened, origin.sourceId);
  return name && { uid: name.uid, identity: name.identity, dialled: { ip: origin.dialled, port: origin.dialledPort } };
}

let lastText = '';
let lastIdentity: Identity | null = null;

/** The clients of a node are few: the same text is the same object, by which everything else that is known of it is found. */
function identityOf(text: string): Identity | null {
  if (text === lastText) return lastIdentity;
  lastText = text;
  lastIdentity = tryParseIdentity(text);
  return lastIdentity;
}

const NOT_THERE = { throwIfNoEntry: false } as const;

/** Null while there is none. */
function pinOf(path: string): number | null {
  return statSync(path, NOT_THERE)?.ino ?? null;
}
