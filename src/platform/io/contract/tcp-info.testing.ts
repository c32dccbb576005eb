import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { getsockname, getsockopt } from '#platform/ffi/libc.ts';

const IPPROTO_TCP = 6;
const TCP_INFO = 11;
/** Fixed by Linux: the place of `tcpi_data_segs_out` in `struct tcp_info`. */
const DATA_SEGMENTS_OUT = 156;
const PORT = 2;

/** Segments with data that the socket bound to a local port has sent. */
export function segmentsSent(localPort: number): number {
  for (const name of readdirSync('/proc/self/fd')) {
    const address = Buffer.alloc(28);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(address.length);
    if (getsockname(Number(name), address, length) !== 0 || address.readUInt16BE(PORT) !== localPort) continue;
    const info = Buffer.alloc(232);
    length.writeUInt32LE(info.length);
    if (getsockopt(Number(name), IPPROTO_TCP, TCP_INFO, info, length) !== 0) continue;
    return info.readUInt32LE(DATA_SEGMENTS_OUT);
  }
  assert.fail(`no socket has the local port ${localPort}`);
}
