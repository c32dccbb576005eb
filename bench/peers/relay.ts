import { join } from 'node:path';
import { WEFT_ROOT } from '#platform/program/installation.ts';
import { command } from '#testbed/processes/command.ts';
import { type Bare, bareWay, listening, startBare } from '../rig/bare.ts';
import { CPU, LOAD_PORT, type Rig } from '../rig/rig.ts';
import type { Way } from '../rig/way.ts';

const PORT = 9445;
const TUNNEL_PORT = 9446;
const SOURCES = ['relay', 'relay-streams'].map((name) => join(WEFT_ROOT, `bench/peers/${name}.c`));

/**
 * The pair of the least that can do what two agents do (relay.c): one mutual TLS 1.3 connection between them, which is up before
 * anything is measured, as the mesh's is. The certificates lie in the rig's directory.
 */
export async function relayPair(rig: Rig, { far }: Bare): Promise<Way> {
  const relay = join(rig.dir, 'relay');
  await command(['clang', '-O2', ...SOURCES, '-lssl', '-lcrypto', '-o', relay]);
  const start = (netns: string, cpu: string, ...args: (string | number)[]): number =>
    startBare(rig, netns, cpu, [relay, ...args.map(String), rig.dir]).pid;
  const server = start(far.server, CPU.server, 'far', TUNNEL_PORT, far.address, LOAD_PORT);
  await listening(rig, far.server, TUNNEL_PORT);
  const client = start(far.client, CPU.client, 'near', PORT, far.address, TUNNEL_PORT);
  await listening(rig, far.client, PORT);
  return bareWay(rig, far, { host: '127.0.0.1', port: PORT }, [client, server]);
}
