import { tryCommand } from '#testbed/command.ts';
import { inNetnsOf } from '#testbed/placement.ts';

/** One established TCP socket as the kernel describes it (`ss -tnpi`). */
export type EstablishedSocket = {
  local: string;
  localPort: number;
  remote: string;
  remotePort: number;
  /** Processes that hold it. */
  pids: number[];
  /** Payload bytes the peer has acknowledged. */
  bytesAcked: number;
  bytesReceived: number;
};

/** The established TCP sockets in the network namespace of a process. */
export async function establishedSockets(pid: number): Promise<EstablishedSocket[]> {
  const { stdout } = await tryCommand(inNetnsOf(pid, ['ss', '-HtnpiO', 'state', 'established']));
  return parseSockets(stdout);
}

/** Reads what `ss -HtnpiO state established` prints; lines of another shape are left out. */
export function parseSockets(text: string): EstablishedSocket[] {
  return text.split('\n').flatMap((line) => {
    const [, , local, remote] = line.trim().split(/\s+/);
    const localEnd = splitEnd(local);
    const remoteEnd = splitEnd(remote);
    if (localEnd === null || remoteEnd === null) return [];
    return [
      {
        local: localEnd.host,
        localPort: localEnd.port,
        remote: remoteEnd.host,
        remotePort: remoteEnd.port,
        pids: [...line.matchAll(/pid=(\d+)/g)].map((match) => Number(match[1])),
        bytesAcked: counter(line, 'bytes_acked'),
        bytesReceived: counter(line, 'bytes_received'),
      },
    ];
  });
}

/** `1.2.3.4:80`, `[::1]:80`, `[::ffff:1.2.3.4]:80`, each with an optional `%interface`. */
function splitEnd(text: string | undefined): { host: string; port: number } | null {
  const match = /^\[?(?:::ffff:)?([^\]%]+)(?:%[^\]:]+)?\]?:(\d+)$/.exec(text ?? '');
  return match === null ? null : { host: match[1] ?? '', port: Number(match[2]) };
}

function counter(line: string, name: string): number {
  return Number(new RegExp(`\\b${name}:(\\d+)`).exec(line)?.[1] ?? 0);
}
