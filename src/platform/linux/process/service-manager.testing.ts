import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { bind, recv, socket } from '#platform/ffi/libc.ts';

/** A socket that listens as a service manager does. `name`: where it lies, as NOTIFY_SOCKET says it. */
export function listenAsManager(name: string): { heard: () => string[]; close: () => void } {
  const fd = socket(1, 2 | 0o4000 | 0o2000000, 0);
  const path = Buffer.from(name.startsWith('@') ? `\0${name.slice(1)}` : `${name}\0`);
  const address = Buffer.concat([Buffer.from([1, 0]), path]);
  assert.equal(bind(fd, address, address.length), 0, name);
  const messages: string[] = [];
  return {
    /** Every message until now. */
    heard() {
      const room = Buffer.alloc(4_096);
      for (let length = Number(recv(fd, room, room.length, 0)); length > 0; length = Number(recv(fd, room, room.length, 0)))
        messages.push(room.toString('utf8', 0, length));
      return messages;
    },
    close: () => closeSync(fd),
  };
}
