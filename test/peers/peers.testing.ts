import { peerPrograms } from '../../testbed/peers/programs.ts';

/** Where the programs of others are; null: they were not built, and what needs them is not tested. */
export const PROGRAMS = await peerPrograms();

/** For a test's options: why it does not run; false when it does. */
export const SKIP =
  PROGRAMS === null
    ? 'H2SPEC, GRPC INTEROP, WEBSOCKET, DNS AND QUIC ARE NOT TESTED HERE: they are not built (testbed/peers/programs build)'
    : false;

/** One of the programs by its name. Errors: when they are not built. */
export function program(name: 'h2spec' | 'grpc-interop-client' | 'grpc-interop-server' | 'websocket-echo' | 'udp-peer'): string {
  if (PROGRAMS === null) throw new Error(`${name} is not built`);
  return `${PROGRAMS}/${name}`;
}
