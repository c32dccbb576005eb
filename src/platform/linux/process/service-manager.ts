import { closeSync } from 'node:fs';
import { send, socket } from '#platform/ffi/libc.ts';
import { SYSCALLS } from '#platform/ffi/syscalls.ts';

/** Who started this process and waits to be told how it does: systemd, or any other that speaks sd_notify(3). */
export type ServiceManager = {
  ready(): void;
  /** Until the next `ready`. */
  reloading(): void;
  stopping(): void;
  alive(): void;
  /** The environment of a process that is to take the place of this one: to be told of as such when it is ready. */
  successor: NodeJS.ProcessEnv;
  /** Who is not `alive` for this long is killed and started again; null: nobody counts. */
  watchdogMs: number | null;
};

/** Says to a process of ours that it takes the place of another. */
const SUCCESSOR_VARIABLE = 'WEFT_SUCCEEDS';
/** Fixed by Linux. */
const AF_UNIX = 1;
const DATAGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;

/**
 * The manager that the environment names; null when nobody waits. Its variables are taken out of the environment: what this process starts
 * must not speak in its place. That a message cannot be sent is nobody's trouble but the manager's, who notices.
 */
export function serviceManager(env: NodeJS.ProcessEnv = process.env, pid = process.pid): ServiceManager | null {
  const { NOTIFY_SOCKET: path, WATCHDOG_USEC: every, WATCHDOG_PID: whose, [SUCCESSOR_VARIABLE]: succeeds } = env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', SUCCESSOR_VARIABLE]) delete env[name];
  if (path === undefined || !/^[/@]./.test(path)) return null;
  const address = addressOf(path);
  const tell = (message: string): void => {
    const fd = socket(AF_UNIX, DATAGRAM_NONBLOCK_CLOEXEC, 0);
    if (fd < 0) return;
    const bytes = Buffer.from(message);
    if (SYSCALLS.connect(fd, address) >= 0) send(fd, bytes, bytes.length, 0);
    closeSync(fd);
  };
  const counts = every !== undefined && (whose === undefined || Number(whose) === pid);
  return {
    // Who started a process does not know whom that one has put in its own place.
    ready: () => tell(succeeds === undefined ? 'READY=1' : `MAINPID=${pid}\nREADY=1`),
    // The moment tells a manager which of several reloads this one is of.
    reloading: () => tell(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`),
    stopping: () => tell('STOPPING=1'),
    alive: () => tell('WATCHDOG=1'),
    // Without WATCHDOG_PID, which is this process.
    successor: { NOTIFY_SOCKET: path, [SUCCESSOR_VARIABLE]: '1', ...(counts ? { WATCHDOG_USEC: every } : {}) },
    watchdogMs: counts && Number(every) > 0 ? Number(every) / 1_000 : null,
  };
}

/** A `struct sockaddr_un`: a path, or, behind `@`, a name that lies in no file system. */
function addressOf(path: string): Buffer {
  const name = path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`;
  const address = Buffer.alloc(2 + Buffer.byteLength(name));
  address.writeUInt16LE(AF_UNIX);
  address.write(name, 2);
  return address;
}
