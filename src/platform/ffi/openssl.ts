import koffi from 'koffi';
import { WeftError } from '#model/error.ts';
import { Memory } from './memory.ts';

declare const brand: unique symbol;
/** An address of something of OpenSSL's; 0 is nothing. Only this folder makes and uses them. */
export type Address<Name extends string> = number & { readonly [brand]: Name };

const node = koffi.load(null);

/** A function of OpenSSL that the node binary exports. Errors: WEFT_FFI, which names the one that it does not. */
export function find(prototype: string): ReturnType<typeof node.func> {
  try {
    return node.func(prototype);
  } catch (cause) {
    throw new WeftError('WEFT_FFI', `this Node.js does not export what TLS needs: ${prototype}`, {
      cause,
      remedy: 'use the Node.js that the project pins, or WEFT_IO=node',
    });
  }
}

/** Connections and what they share. */
function loadSsl() {
  return {
    TLS_method: find('uintptr_t TLS_method()'),
    SSL_CTX_new: find('uintptr_t SSL_CTX_new(uintptr_t method)'),
    SSL_CTX_free: find('void SSL_CTX_free(uintptr_t context)'),
    SSL_CTX_ctrl: find('long SSL_CTX_ctrl(uintptr_t context, int command, long number, uintptr_t pointer)'),
    SSL_CTX_ctrl_text: find('long SSL_CTX_ctrl(uintptr_t context, int command, long number, const char *text)'),
    SSL_CTX_set_options: find('uint64_t SSL_CTX_set_options(uintptr_t context, uint64_t options)'),
    SSL_CTX_set_ciphersuites: find('int SSL_CTX_set_ciphersuites(uintptr_t context, const char *suites)'),
    SSL_CTX_set_cipher_list: find('int SSL_CTX_set_cipher_list(uintptr_t context, const char *suites)'),
    SSL_ctrl_text: find('long SSL_ctrl(uintptr_t ssl, int command, long number, const char *text)'),
    SSL_CTX_set_security_level: find('void SSL_CTX_set_security_level(uintptr_t context, int level)'),
    SSL_CTX_set_verify: find('void SSL_CTX_set_verify(uintptr_t context, int mode, void *callback)'),
    SSL_CTX_set_verify_depth: find('void SSL_CTX_set_verify_depth(uintptr_t context, int depth)'),
    SSL_CTX_set_num_tickets: find('int SSL_CTX_set_num_tickets(uintptr_t context, size_t count)'),
    SSL_CTX_set_default_read_buffer_len: find('void SSL_CTX_set_default_read_buffer_len(uintptr_t context, size_t bytes)'),
    SSL_CTX_set_alpn_protos: find('int SSL_CTX_set_alpn_protos(uintptr_t context, const void *protocols, uint32_t bytes)'),
    SSL_CTX_set_alpn_select_cb: find('void SSL_CTX_set_alpn_select_cb(uintptr_t context, void *callback, uintptr_t argument)'),
    SSL_select_next_proto: find(
      'int SSL_select_next_proto(void *out, void *outBytes, const void *ours, uint32_t ourBytes, void *theirs, uint32_t theirBytes)',
    ),
    SSL_CTX_use_certificate: find('int SSL_CTX_use_certificate(uintptr_t context, uintptr_t certificate)'),
    SSL_CTX_use_PrivateKey: find('int SSL_CTX_use_PrivateKey(uintptr_t context, uintptr_t key)'),
    SSL_CTX_check_private_key: find('int SSL_CTX_check_private_key(uintptr_t context)'),
    SSL_CTX_get_cert_store: find('uintptr_t SSL_CTX_get_cert_store(uintptr_t context)'),
    SSL_set0_wbio: find('void SSL_set0_wbio(uintptr_t ssl, uintptr_t bio)'),
    SSL_new: find('uintptr_t SSL_new(uintptr_t context)'),
    SSL_set_info_callback: find('void SSL_set_info_callback(uintptr_t ssl, void *callback)'),
    SSL_set_shutdown: find('void SSL_set_shutdown(uintptr_t ssl, int mode)'),
    SSL_free: find('void SSL_free(uintptr_t ssl)'),
    SSL_set_fd: find('int SSL_set_fd(uintptr_t ssl, int fd)'),
    SSL_set_connect_state: find('void SSL_set_connect_state(uintptr_t ssl)'),
    SSL_set_accept_state: find('void SSL_set_accept_state(uintptr_t ssl)'),
    SSL_do_handshake: find('int SSL_do_handshake(uintptr_t ssl)'),
    SSL_read: find('int SSL_read(uintptr_t ssl, uintptr_t into, int bytes)'),
    SSL_write: find('int SSL_write(uintptr_t ssl, uintptr_t from, int bytes)'),
    SSL_write_buffer: find('int SSL_write(uintptr_t ssl, const void *from, int bytes)'),
    SSL_get_error: find('int SSL_get_error(uintptr_t ssl, int result)'),
    SSL_shutdown: find('int SSL_shutdown(uintptr_t ssl)'),
    SSL_has_pending: find('int SSL_has_pending(uintptr_t ssl)'),
    SSL_get_verify_result: find('long SSL_get_verify_result(uintptr_t ssl)'),
    SSL_get0_alpn_selected: find('void SSL_get0_alpn_selected(uintptr_t ssl, uintptr_t protocol, uintptr_t bytes)'),
    SSL_get0_group_name: find('const char *SSL_get0_group_name(uintptr_t ssl)'),
    SSL_get0_verified_chain: find('uintptr_t SSL_get0_verified_chain(uintptr_t ssl)'),
  };
}

/** Certificates, keys, memory and errors. */
function loadCrypto() {
  return {
    X509_STORE_add_cert: find('int X509_STORE_add_cert(uintptr_t store, uintptr_t certificate)'),
    X509_free: find('void X509_free(uintptr_t certificate)'),
    EVP_PKEY_free: find('void EVP_PKEY_free(uintptr_t key)'),
    BIO_new_mem_buf: find('uintptr_t BIO_new_mem_buf(uintptr_t bytes, int count)'),
    BIO_free: find('int BIO_free(uintptr_t bio)'),
    PEM_read_bio_X509: find('uintptr_t PEM_read_bio_X509(uintptr_t bio, void *into, void *password, void *argument)'),
    PEM_read_bio_PrivateKey: find(
      'uintptr_t PEM_read_bio_PrivateKey(uintptr_t bio, void *into, void *password, const char *text)',
    ),
    BIO_new_bio_pair: find('int BIO_new_bio_pair(uintptr_t one, size_t oneBytes, uintptr_t other, size_t otherBytes)'),
    BIO_nread: find('int BIO_nread(uintptr_t bio, uintptr_t where, int bytes)'),
    BIO_ctrl_pending: find('size_t BIO_ctrl_pending(uintptr_t bio)'),
    X509_verify_cert_error_string: find('const char *X509_verify_cert_error_string(long code)'),
    OPENSSL_sk_num: find('int OPENSSL_sk_num(uintptr_t stack)'),
    OPENSSL_sk_value: find('uintptr_t OPENSSL_sk_value(uintptr_t stack, int at)'),
    i2d_X509_size: find('int i2d_X509(uintptr_t certificate, void *nowhere)'),
    i2d_X509: find('int i2d_X509(uintptr_t certificate, uintptr_t into)'),
    ERR_clear_error: find('void ERR_clear_error()'),
    ERR_get_error: find('unsigned long ERR_get_error()'),
    ERR_reason_error_string: find('const char *ERR_reason_error_string(unsigned long code)'),
  };
}

function load() {
  return { ...loadSsl(), ...loadCrypto() };
}

let loaded: ReturnType<typeof load> | null = null;

/** OpenSSL as the node binary exports it; a second one in the process would clash with it. Errors: WEFT_FFI. */
export function openssl(): ReturnType<typeof load> {
  loaded ??= load();
  return loaded;
}

/** Why a call failed: in OpenSSL's words, empty when it has none. */
export type OpensslReason = {
  readonly text: string;
  /** An alert of the peer. */
  readonly isAlert: boolean;
  /** The TCP connection ended where TLS had not. */
  readonly isTruncation: boolean;
};

/** Fixed by OpenSSL's err.h and sslerr.h. */
const LIBRARY_SHIFT = 23;
const LIBRARY_BITS = 0xff;
const REASON_BITS = 0x7f_ffff;
const LIBRARY_SSL = 20;
const FIRST_ALERT = 1_000;
const ALERTS_END = 1_256;
const UNEXPECTED_EOF = 294;

/** Why OpenSSL's last call failed; empties its queue of errors. */
export function opensslReason(): OpensslReason {
  const { ERR_get_error, ERR_reason_error_string } = openssl();
  let first: OpensslReason | null = null;
  for (let code = Number(ERR_get_error()); code !== 0; code = Number(ERR_get_error())) {
    const text: unknown = ERR_reason_error_string(code);
    const reason = code & REASON_BITS;
    const isTls = ((code >>> LIBRARY_SHIFT) & LIBRARY_BITS) === LIBRARY_SSL;
    first ??= {
      text: typeof text === 'string' ? text : `error ${reason}`,
      isAlert: isTls && reason >= FIRST_ALERT && reason < ALERTS_END,
      isTruncation: isTls && reason === UNEXPECTED_EOF,
    };
  }
  return first ?? { text: '', isAlert: false, isTruncation: false };
}

/** OpenSSL's answers to an offer of protocols. Fixed by OpenSSL. */
const SELECTED = 0;
const NEGOTIATED = 1;
const FATAL = 2;

const AlpnSelect = koffi.proto(
  'int weft_alpn_select(uintptr_t ssl, void *out, void *outBytes, void *offered, uint32_t offeredBytes, uintptr_t argument)',
);

const InfoCallback = koffi.proto('void weft_info(uintptr_t ssl, int where, int result)');
/** For SSL_set_shutdown: as if the peer had said that it will send no more. Fixed by OpenSSL. */
const RECEIVED_SHUTDOWN = 2;
/** How many steps of OpenSSL's message machine a connection has left; negative: there were too many. */
export type Steps = { left: number };
/** By the connection's address. */
const stepsOf = new Map<number, Steps>();
let onStep: unknown = null;

/**
 * From now on a connection may receive and answer so many messages that are not data; after `steps` it reads no further. One call of
 * SSL_read goes on from message to message for as long as they come, so nobody outside of it could end that.
 */
export function limitSteps(ssl: Address<'SSL'>, left: number): Steps {
  onStep ??= koffi.register((address: number) => {
    const steps = stepsOf.get(address);
    if (steps === undefined || --steps.left < 0) openssl().SSL_set_shutdown(address, RECEIVED_SHUTDOWN);
  }, koffi.pointer(InfoCallback));
  const steps = { left };
  stepsOf.set(ssl, steps);
  openssl().SSL_set_info_callback(ssl, onStep);
  return steps;
}

/** Before the connection is freed. */
export function forgetSteps(ssl: Address<'SSL'>): void {
  stepsOf.delete(ssl);
}

/** Kept for ever: OpenSSL calls them, and points into the lists. One for each protocol, of which there are two. */
const selectors = new Map<string, { callback: unknown; ours: Buffer }>();

/** A callback for SSL_CTX_set_alpn_select_cb that takes `protocol` and nothing else. */
export function alpnSelector(protocol: string): unknown {
  const known = selectors.get(protocol);
  if (known !== undefined) return known.callback;
  const { buffer: ours } = alpnList(protocol);
  const select = (_ssl: unknown, out: unknown, outBytes: unknown, offered: unknown, offeredBytes: number): number => {
    try {
      const chosen: unknown = openssl().SSL_select_next_proto(out, outBytes, ours, ours.length, offered, offeredBytes);
      return chosen === NEGOTIATED ? SELECTED : FATAL;
    } catch {
      return FATAL; // an exception would vanish, and read as success
    }
  };
  const callback = koffi.register(select, koffi.pointer(AlpnSelect));
  selectors.set(protocol, { callback, ours });
  return callback;
}

/** A protocol as ALPN lists it: its length in front. */
export function alpnList(protocol: string): Memory {
  const memory = new Memory(protocol.length + 1);
  memory.buffer.writeUInt8(protocol.length);
  memory.buffer.write(protocol, 1, 'latin1');
  return memory;
}
