/**
 * The beginning of a TLS connection, as its client says it. `incomplete`: there is more to come. `other`: it is not TLS, or not
 * as TLS has to be. `serverName`: in lower case; null: it asks for none.
 */
export type ClientHello = { kind: 'incomplete' } | { kind: 'other' } | { kind: 'hello'; serverName: string | null };

/** Fixed by RFC 8446, sections 4, 5.1 and RFC 6066, section 3. */
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const RECORD_BYTES_MAX = 16_384;
const MESSAGE_HEADER = 4;
const VERSION_AND_RANDOM = 34;
const SERVER_NAME = 0;
const HOST_NAME = 0;

const INCOMPLETE: ClientHello = { kind: 'incomplete' };
const OTHER: ClientHello = { kind: 'other' };

/** Reads the name that a client of TLS asks for; `bytes` is whatever has come of the connection so far. */
export function readClientHello(bytes: Buffer): ClientHello {
  const { message, complete } = handshakeIn(bytes);
  if (message === null) return OTHER;
  if (message.length > 0 && message[0] !== CLIENT_HELLO) return OTHER;
  if (message.length < MESSAGE_HEADER) return complete ? OTHER : INCOMPLETE;
  const end = MESSAGE_HEADER + message.readUIntBE(1, 3);
  if (message.length < end) return complete ? OTHER : INCOMPLETE;
  return helloOf(message.subarray(MESSAGE_HEADER, end));
}

/** The handshake of as many records as are there, whole ones or not; `message` null: what is there is none. */
function handshakeIn(bytes: Buffer): { message: Buffer | null; complete: boolean } {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] !== HANDSHAKE || (bytes[at + 1] ?? 3) !== 3)
      return { message: parts.length > 0 ? Buffer.concat(parts) : null, complete: true };
    if (bytes.length < at + RECORD_HEADER) break;
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > RECORD_BYTES_MAX) return { message: null, complete: true };
    parts.push(bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length));
    at += RECORD_HEADER + length;
  }
  return { message: Buffer.concat(parts), complete: false };
}

/** Walks over what stands before the extensions. */
function helloOf(body: Buffer): ClientHello {
  let at = VERSION_AND_RANDOM;
  for (const width of [1, 2, 1] as const) {
    // The session's id, the ciphers, the compressions.
    if (at + width > body.length) return OTHER;
    at += width + body.readUIntBE(at, width);
  }
  if (at === body.length) return { kind: 'hello', serverName: null };
  if (at + 2 > body.length || at + 2 + body.readUInt16BE(at) !== body.length) return OTHER;
  return nameIn(body.subarray(at + 2));
}

function nameIn(extensions: Buffer): ClientHello {
  let found: ClientHello = { kind: 'hello', serverName: null };
  let seen = false;
  for (let at = 0; at < extensions.length; ) {
    if (at + 4 > extensions.length) return OTHER;
    const type = extensions.readUInt16BE(at);
    const length = extensions.readUInt16BE(at + 2);
    const content = extensions.subarray(at + 4, at + 4 + length);
    if (content.length < length) return OTHER;
    at += 4 + length;
    if (type !== SERVER_NAME) continue;
    // Of two of them nobody could tell which the server will take.
    if (seen) return OTHER;
    seen = true;
    found = hostIn(content);
    if (found.kind === 'other') return OTHER;
  }
  return found;
}

/** One name of one kind is all that has ever been used. */
function hostIn(list: Buffer): ClientHello {
  if (list.length < 5 || list.readUInt16BE(0) !== list.length - 2 || list[2] !== HOST_NAME) return OTHER;
  const length = list.readUInt16BE(3);
  if (length === 0 || length !== list.length - 5) return OTHER;
  const name = list.toString('latin1', 5).toLowerCase();
  return /^[a-z0-9_.-]+$/.test(name) ? { kind: 'hello', serverName: name } : OTHER;
}
