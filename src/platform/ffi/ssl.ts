import koffi from 'koffi';
import { WeftError } from '#model/error.ts';
import { copyOut, type LentMemory, lent, Memory } from './memory.ts';
import { type Address, forgetSteps, limitSteps, openssl, type Steps } from './openssl.ts';
import type { SslContext } from './ssl-context.ts';

/** How a call went that did not succeed. */
export type SslFailure =
  | { readonly kind: 'again'; readonly wants: 'read' | 'write' }
  /** The peer said that it will send no more. */
  | { readonly kind: 'closed' }
  /** `errno`: of the system call; 0 for an end of the connection. */
  | { readonly kind: 'system'; readonly errno: number }
  /** OpenSSL's queue of errors says which. */
  | { readonly kind: 'tls' };

/** Answers of SSL_get_error. Fixed by OpenSSL. */
const WANT_READ = 2;
const WANT_WRITE = 3;
const SYSCALL = 5;
const ZERO_RETURN = 6;

/** For SSL_ctrl. Fixed by OpenSSL. */
const SET_SERVER_NAME = 55;
/** The one type of server name. Fixed by RFC 6066 3. */
const HOST_NAME = 0;

const READ_AGAIN: SslFailure = { kind: 'again', wants: 'read' };
const WRITE_AGAIN: SslFailure = { kind: 'again', wants: 'write' };
const CLOSED: SslFailure = { kind: 'closed' };
const TLS: SslFailure = { kind: 'tls' };

/** Where OpenSSL writes addresses, or an address and a length. */
const found = new Memory(16);
/** More than it ever keeps. Fixed by C: an int. */
const TAKEN_AT_ONCE = 2 ** 31 - 1;

/** An address that OpenSSL wrote into `found`. */
function addressAt(offset: number): number {
  return found.buffer.readUInt32LE(offset) + found.buffer.readUInt32LE(offset + 4) * 2 ** 32;
}

/** Fixed by RFC 7301 3.1. */
const ALPN_BYTES_MAX = 255;
const protocolName = new Memory(ALPN_BYTES_MAX);

let live = 0;

/** SSL objects that are not closed: none may be left behind. */
export function liveSslCount(): number {
  return live;
}

/** One side of a TLS connection on a descriptor, which stays its owner's. Every call but `close` is refused after `close`. */
export class Ssl {
  #ssl: Address<'SSL'>;
  readonly #context: SslContext;
  #failure: SslFailure = TLS;
  /** Our end of the pair of `keepWrites`; 0: none. */
  #kept = 0;
  #steps: Steps = { left: 0 };

  /** Errors: WEFT_TLS when the context was closed, WEFT_FFI without memory. */
  constructor(context: SslContext, fd: number) {
    this.#ssl = openssl().SSL_new(context.use());
    this.#context = context;
    if (this.#ssl === 0 || openssl().SSL_set_fd(this.#ssl, fd) !== 1) {
      openssl().SSL_free(this.#ssl); // takes nothing, too
      context.release();
      throw new WeftError('WEFT_FFI', 'OpenSSL has no memory for a connection', { remedy: 'give the process more memory' });
    }
    live++;
    const { serverName } = context;
    if (serverName !== null) openssl().SSL_ctrl_text(this.#ssl, SET_SERVER_NAME, HOST_NAME, serverName);
    if (context.role === 'server') openssl().SSL_set_accept_state(this.#ssl);
    else openssl().SSL_set_connect_state(this.#ssl);
  }

  /** Why the last call did not succeed. */
  get failure(): SslFailure {
    return this.#failure;
  }

  /** Goes on with the handshake; true when it is done. */
  shake(): boolean {
    const ssl = this.#open();
    openssl().ERR_clear_error();
    return this.#result(ssl, openssl().SSL_do_handshake(ssl)) === 1;
  }

  /** Bytes read, at most one record's; 0 or less: see `failure`. */
  read(memory: Memory, offset: number, bytes: number): number {
    const ssl = this.#open();
    openssl().ERR_clear_error();
    return this.#result(ssl, openssl().SSL_read(ssl, memory.at(offset, bytes), bytes));
  }

  /** Bytes written, at most one record's; 0 or less: see `failure`. What failed for want of room must come again, with no fewer bytes. */
  write(memory: Memory, offset: number, bytes: number): number {
    const ssl = this.#open();
    openssl().ERR_clear_error();
    return this.#result(ssl, openssl().SSL_write(ssl, memory.at(offset, bytes), bytes));
  }

  /** As `write`, of a buffer that stays where it is for the call. */
  writeFrom(buffer: Buffer, start: number, end: number): number {
    const ssl = this.#open();
    const bytes = lent(buffer, start, end);
    openssl().ERR_clear_error();
    return this.#result(ssl, openssl().SSL_write_buffer(ssl, bytes, end - start));
  }

  /**
   * From now on what OpenSSL writes stays in a memory of so many bytes, to be taken: it makes a call for each record, and each would leave
   * as packets of its own and wake the peer. A pair of BIOs, as only that lends what it keeps: one in memory would clear it, and copy it twice.
   * Errors: WEFT_FFI without memory.
   */
  keepWrites(bytes: number): void {
    const ssl = this.#open();
    if (openssl().BIO_new_bio_pair(found.at(0, 8), bytes, found.at(8, 8), 1) !== 1)
      throw new WeftError('WEFT_FFI', 'OpenSSL has no memory for a connection', { remedy: 'give the process more memory' });
    openssl().SSL_set0_wbio(ssl, addressAt(0)); // the connection's from here on
    this.#kept = addressAt(8);
  }

  /** From now on it takes so many steps for messages that are not data, and then reads no further: `closed`, and `stepsLeft` is negative. */
  limitSteps(steps: number): void {
    this.#steps = limitSteps(this.#open(), steps);
  }

  get stepsLeft(): number {
    return this.#steps.left;
  }

  /** Bytes that are kept. */
  get keptBytes(): number {
    this.#open();
    return this.#kept === 0 ? 0 : Number(openssl().BIO_ctrl_pending(this.#kept));
  }

  /** Takes what is kept: how many bytes. They are lent until something is written again. */
  takeKept(into: LentMemory): number {
    this.#open();
    if (this.#kept === 0) return 0;
    const count = Math.max(0, openssl().BIO_nread(this.#kept, found.at(0, 8), TAKEN_AT_ONCE));
    into.lend(count === 0 ? 0 : addressAt(0), count);
    return count;
  }

  /** Sends close_notify; 0 or more: done. */
  shutDown(): number {
    const ssl = this.#open();
    openssl().ERR_clear_error();
    const result: number = openssl().SSL_shutdown(ssl);
    return result >= 0 ? result : this.#result(ssl, result);
  }

  /** Bytes were read from the descriptor that were not handed out; perhaps not yet a whole record. */
  get hasPending(): boolean {
    return openssl().SSL_has_pending(this.#open()) === 1;
  }

  /** Why the peer's chain was not accepted, in OpenSSL's words; null when it was, or was never looked at. */
  get chainRefusal(): string | null {
    const code = Number(openssl().SSL_get_verify_result(this.#open()));
    return code === 0 ? null : String(openssl().X509_verify_cert_error_string(code));
  }

  /** The protocol that was agreed on; empty for none. */
  get protocol(): string {
    found.buffer.fill(0);
    openssl().SSL_get0_alpn_selected(this.#open(), found.at(0, 8), found.at(8, 4));
    const bytes = found.buffer.readUInt32LE(8);
    return bytes === 0 || bytes > ALPN_BYTES_MAX
      ? ''
      : copyOut(found.buffer.readBigUInt64LE(0), bytes, protocolName).toString('latin1');
  }

  /** The key agreement; empty when it is not known. */
  get group(): string {
    const name: unknown = openssl().SSL_get0_group_name(this.#open());
    return typeof name === 'string' ? name : '';
  }

  /** The peer's certificates up to the root that they were checked against, in DER. */
  get chain(): Buffer[] {
    const stack: number = openssl().SSL_get0_verified_chain(this.#open());
    const count = stack === 0 ? 0 : Number(openssl().OPENSSL_sk_num(stack));
    const chain: Buffer[] = [];
    for (let at = 0; at < count; at++) chain.push(der(openssl().OPENSSL_sk_value(stack, at)));
    return chain;
  }

  close(): void {
    if (this.#ssl === 0) return;
    const ssl = this.#ssl;
    this.#ssl = NONE;
    live--;
    forgetSteps(ssl);
    openssl().SSL_free(ssl);
    if (this.#kept !== 0) openssl().BIO_free(this.#kept);
    this.#kept = 0;
    this.#context.release();
  }

  #open(): Address<'SSL'> {
    if (this.#ssl !== 0) return this.#ssl;
    throw new WeftError('WEFT_FFI', 'a TLS connection was used after it was closed', { remedy: 'report this as a bug' });
  }

  /** Errno and SSL_get_error belong to the last call in this thread: they are asked for at once. */
  #result(ssl: Address<'SSL'>, result: number): number {
    if (result > 0) return result;
    const errno = koffi.errno();
    switch (openssl().SSL_get_error(ssl, result)) {
      case WANT_READ:
        this.#failure = READ_AGAIN;
        break;
      case WANT_WRITE:
        this.#failure = WRITE_AGAIN;
        break;
      case ZERO_RETURN:
        this.#failure = CLOSED;
        break;
      case SYSCALL:
        this.#failure = { kind: 'system', errno };
        break;
      default:
        this.#failure = TLS;
    }
    return result;
  }
}

const NONE = 0 as Address<'SSL'>;

function der(certificate: number): Buffer {
  const bytes = Number(openssl().i2d_X509_size(certificate, null));
  if (bytes <= 0) return Buffer.alloc(0);
  const memory = new Memory(bytes);
  found.buffer.writeBigUInt64LE(BigInt(memory.at(0, bytes))); // i2d moves the pointer that it is given
  openssl().i2d_X509(certificate, found.at(0, 8));
  return memory.buffer;
}
