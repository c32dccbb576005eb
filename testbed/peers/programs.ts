import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('./programs', import.meta.url));

/** The folder with h2spec, grpc-interop-client, grpc-interop-server, websocket-echo and udp-peer; null while they are not built. */
export async function peerPrograms(): Promise<string | null> {
  try {
    return (await promisify(execFile)(SCRIPT, ['path'])).stdout.trim();
  } catch {
    // What `path` says by its exit code: not built.
    return null;
  }
}
