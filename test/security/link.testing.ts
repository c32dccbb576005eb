import assert from 'node:assert/strict';
import { type IpAddress, parseIp } from '#model/address/ip.ts';
import type { AttackedMesh } from './mesh.testing.ts';

/** What attackers send, so that it is found wherever it arrives. */
export const CLEAR = Buffer.from('weft-in-clear');

const SEND = [
  'import socket, sys',
  's = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)',
  's.bind(("eth0", 0))',
  'for frame in sys.argv[1:]: s.send(bytes.fromhex(frame))',
].join('\n');

/** Both ends of a workload's link: its own MAC address and that of the gateway. */
export type Macs = { own: string; gateway: string };

/** The link of a workload of a mesh in the hands of an attacker who kept every capability. */
export class AttackedLink {
  readonly #mesh: AttackedMesh;
  readonly #name: string;

  constructor(mesh: AttackedMesh, name: string) {
    this.#mesh = mesh;
    this.#name = name;
  }

  /** Runs a command inside the workload, which must succeed; gives what it printed. */
  async run(...command: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#mesh.inside(this.#name, command);
    assert.equal(code, 0, `${command.slice(0, 3).join(' ')}: ${stderr}`);
    return stdout;
  }

  /** The same for one that may fail. */
  async try(...command: string[]): Promise<string> {
    const { stdout, stderr } = await this.#mesh.inside(this.#name, command);
    return stdout + stderr;
  }

  /** Puts frames on the link as they are, padded to what Ethernet wants. */
  async send(...frames: Buffer[]): Promise<void> {
    const padded = frames.map((frame) => Buffer.concat([frame, Buffer.alloc(Math.max(0, 60 - frame.length))]));
    await this.run('python3', '-c', SEND, ...padded.map((frame) => frame.toString('hex')));
  }

  /** A Python program with a socket for each line of it; gives what it printed. */
  python(...lines: string[]): Promise<string> {
    return this.try('python3', '-c', ['import socket, errno', ...lines].join('\n'));
  }

  /** Sends a datagram to an address, after which the workload knows whose it is, if anybody answers. */
  async poke(ip: string, from = ''): Promise<void> {
    const family = ip.includes(':') ? 'socket.AF_INET6' : 'socket.AF_INET';
    await this.python(
      'import time',
      `s = socket.socket(${family}, socket.SOCK_RAW, 253)`,
      ...(from === '' ? [] : [`s.bind(("${from}", 0))`]),
      `s.sendto(b"weft-in-clear", ("${ip}", 0)); time.sleep(0.3)`,
    );
  }

  async macs(): Promise<Macs> {
    const gateway = /default via (\S+)/.exec(await this.run('ip', 'route'))?.[1] ?? '';
    await this.poke(gateway);
    const macs = { own: await this.macOf('eth0'), gateway: await this.neighbour(gateway) };
    for (const mac of Object.values(macs)) assert.match(mac, /^02(:[0-9a-f]{2}){5}$/);
    return macs;
  }

  async macOf(device: string): Promise<string> {
    return /link\/ether (\S+)/.exec(await this.run('ip', 'link', 'show', device))?.[1] ?? '';
  }

  /** Whom the workload takes an address to be; '' when it does not know. */
  async neighbour(ip: string): Promise<string> {
    return /lladdr (\S+)/.exec(await this.run('ip', 'neigh', 'show', ip))?.[1] ?? '';
  }
}

/** An address of a workload that runs. */
export function addressOf(mesh: AttackedMesh, name: string, family: 4 | 6): IpAddress {
  return parseIp(mesh.app(name).address[family]);
}
