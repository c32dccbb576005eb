import type { IpAddress } from '#model/address/ip.ts';
import { type ByteStream, type Endpoint, NOWHERE } from '#model/effects/byte-stream.ts';
import type { Log } from '#model/effects/log.ts';
import type { Identity } from '#model/identity/identity.ts';
import { forwardedClient } from '#protocol/hbone/headers.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import { refusalRecord } from '#waypoint/connection/report.ts';
import type { Waypoint } from '#waypoint/waypoint.ts';

/** What connections are let into. */
export type Door = Pick<Waypoint, 'admit' | 'expected' | 'accept' | 'counters' | 'meters'>;

const ORIGIN = { reporter: 'waypoint', dialled: null } as const;

/** Who opened a connection of this node and what it dialled, as the kernel saw it; null: the kernel saw nothing of the kind. */
export type Attest = (ends: { remote: Endpoint; local: Endpoint }) => {
  identity: Identity;
  dialled: { readonly ip: IpAddress; readonly port: number };
} | null;

/** A tunnel of an agent: its peer is proved by a certificate, and says for which of its ports it speaks. */
export async function acceptTunnel(door: Door, tunnel: InboundTunnel, log: Log): Promise<void> {
  const { authority, peer } = tunnel;
  // Judged before the tunnel is answered: the caller's node can then tell its app the reason.
  let admission = door.admit(authority);
  if (admission.kind === 'refuse') {
    await door.expected(authority);
    admission = door.admit(authority);
  }
  if (admission.kind === 'refuse') {
    const { status, why } = admission;
    door.counters.connectionsRefused++;
    const asker = { source: { end: null, workload: null, identity: peer }, origin: ORIGIN };
    log.info({ ...refusalRecord(door, asker, 'not-bound', why), authority, status }, 'refused a tunnel');
    tunnel.refuse(status);
    return;
  }
  const { remoteAddress, remotePort } = tunnel;
  const client = forwardedClient(tunnel.forwarded, remoteAddress) ?? { ip: remoteAddress, port: remotePort };
  const stream = tunnel.accept('');
  door.accept({ stream, peer, peerAddress: client.ip, peerPort: client.port, dialled: admission.dialled });
}

/** A connection of this node: only one that the kernel saw an enrolled workload open is served (promise 4). */
export function acceptLocal(door: Door, attest: Attest, stream: ByteStream, log: Log): void {
  const { remote, local } = stream;
  if (remote === NOWHERE || local === NOWHERE) {
    stream.reset(); // gone before it was accepted, or from a link-local address
    return;
  }
  const attestation = attest({ remote, local });
  if (attestation === null) {
    const stranger = { source: { end: remote, workload: null, identity: null }, origin: ORIGIN };
    const record = refusalRecord(door, stranger, 'not-captured', 'the kernel saw no enrolled workload open it');
    log.warn(record, 'refused a connection that the kernel did not attest');
    stream.reset();
    return;
  }
  const { identity, dialled } = attestation;
  door.accept({
    stream,
    peer: identity,
    peerAddress: remote.ip,
    peerPort: remote.port,
    dialled: { address: dialled.ip, port: dialled.port },
  });
}
