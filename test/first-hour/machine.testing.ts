import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Program, Programs, ROOT } from '../e2e/programs.testing.ts';

/** A DNS server that knows no name. */
const DNS = `require('dgram').createSocket('udp4').on('message', function (query, from) {
  query[2] = 0x81; query[3] = 0x83; this.send(query, from.port, from.address);
}).bind(53, '127.0.0.1', () => console.log('dns is up'))`;

/** A machine whose network, mounts, /run, /var/lib and pins are its own, in good order: nothing is wrong with it. */
export class Machine {
  readonly root = mkdtempSync(join(tmpdir(), 'weft-machine-'));
  readonly programs = new Programs();
  #keeper: Program | null = null;

  async boot(): Promise<void> {
    writeFileSync(join(this.root, 'resolv.conf'), 'nameserver 127.0.0.1\n');
    const script = `
      set -e; mount -t tmpfs -o mode=755 none /run; mount -t tmpfs -o mode=755 none /var/lib; mount -t bpf none /sys/fs/bpf
      touch /run/resolv.conf; mount --bind ${join(this.root, 'resolv.conf')} /etc/resolv.conf
      ip link set lo up; ip link add lan0 type bridge; ip addr add 10.9.0.2/24 dev lan0; ip link set lan0 up
      ip route add default via 10.9.0.1; echo ready; exec sleep 1000`;
    this.#keeper = this.programs.start(['unshare', '--net', '--mount', '--propagation', 'private', 'sh', '-c', script]);
    await this.#keeper.until(/ready/);
    await this.type(`exec ${process.execPath} -e "${DNS}"`).until(/dns is up/);
  }

  /** A file or folder for this test. */
  path(name: string): string {
    return join(this.root, name);
  }

  folder(name: string): string {
    mkdirSync(this.path(name), { recursive: true, mode: 0o700 });
    return this.path(name);
  }

  /** Starts a line of a shell on this machine. `apart`: what it mounts is seen by itself alone. */
  type(line: string, apart = false): Program {
    const pid = this.#keeper?.child.pid ?? 0;
    const inside = ['nsenter', `--net=/proc/${pid}/ns/net`, `--mount=/proc/${pid}/ns/mnt`, `--wd=${this.root}`, '--'];
    const own = apart ? ['unshare', '--mount', '--propagation', 'private'] : [];
    return this.programs.start([...inside, 'env', `PATH=${join(ROOT, 'bin')}:${process.env.PATH}`, ...own, 'bash', '-c', line]);
  }

  /** Runs a line to its end. Errors: with what it printed, unless it ended with `code`. */
  async done(line: string, { apart = false, code = 0 } = {}): Promise<string> {
    const program = this.type(line, apart);
    const ended = await program.ended;
    if (ended !== code) throw new Error(`${line}\nended with ${ended}, not ${code}:\n${program.output()}`);
    return program.output();
  }

  /** Ends everything that runs here. */
  async close(): Promise<void> {
    await this.type('weft uninstall --yes').ended;
    await this.programs.endAll('SIGTERM');
    rmSync(this.root, { recursive: true, force: true });
  }
}
