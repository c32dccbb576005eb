import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Sends frames as they are by `eth0` of a namespace, as a workload with CAP_NET_RAW can. */
export function sendFrames(netnsPath: string, ...frames: Buffer[]): void {
  const program = [
    'import socket, sys',
    's = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)',
    's.bind(("eth0", 0))',
    'for frame in sys.argv[1:]: s.send(bytes.fromhex(frame))',
  ].join('\n');
  const padded = frames.map((frame) => Buffer.concat([frame, Buffer.alloc(Math.max(0, 60 - frame.length))]).toString('hex'));
  execFileSync('nsenter', [`--net=${netnsPath}`, 'python3', '-c', program, ...padded]);
}

/** Hears every frame that comes in by an interface of a namespace, from the moment that `start` resolves. */
export class FrameEar {
  readonly #child: ChildProcess;
  #heard = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('latin1').on('data', (text: string) => {
      this.#heard += text;
    });
  }

  static async start(netnsPath: string, device = 'eth0'): Promise<FrameEar> {
    const program = [
      'import socket, sys',
      's = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))',
      `s.bind(("${device}", 0))`,
      'print("ready", flush=True)',
      'while True:',
      '  frame, place = s.recvfrom(65535)',
      '  if place[2] != 4: print(frame.hex(), flush=True)', // 4: what leaves
    ].join('\n');
    const child = spawn('nsenter', [`--net=${netnsPath}`, 'python3', '-c', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ear = new FrameEar(child);
    for (let tries = 0; !ear.#heard.startsWith('ready'); tries++) {
      assert.ok(tries < 500, 'nobody listens');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return ear;
  }

  /** Whether a frame with these bytes came. */
  heard(bytes: Buffer): boolean {
    return this.#heard.includes(bytes.toString('hex'));
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
