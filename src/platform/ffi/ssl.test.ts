import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyOut, Memory } from './memory.ts';
import { alpnList, find, openssl, opensslReason } from './openssl.ts';

test('a function of OpenSSL that this Node.js does not export is named', () => {
  assert.throws(() => find('int SSL_of_another_age(uintptr_t ssl)'), {
    code: 'WEFT_FFI',
    message: /does not export.*SSL_of_another_age/,
  });
  assert.equal(openssl(), openssl());
});

test('no address leaves its memory: what lies outside is refused before the call', () => {
  const memory = new Memory(16);
  assert.equal(memory.at(16, 0), memory.at(0, 16) + 16);
  for (const [offset, bytes] of [
    [0, 17],
    [16, 1],
    [-1, 1],
    [0, -1],
    [9, 8],
  ] as const) {
    assert.throws(() => memory.at(offset, bytes), { code: 'WEFT_FFI' }, `${bytes} at ${offset}`);
  }
  const other = new Memory(4);
  memory.buffer.write('abcdefgh');
  assert.equal(copyOut(BigInt(memory.at(2, 4)), 4, other).toString(), 'cdef');
  assert.throws(() => copyOut(BigInt(memory.at(0, 8)), 8, other), { code: 'WEFT_FFI' });
});

test("OpenSSL's reasons are told first come first, once, and nothing is left for the next call", () => {
  const { BIO_new_mem_buf, BIO_free, PEM_read_bio_X509 } = openssl();
  const memory = new Memory(8);
  const bio: number = BIO_new_mem_buf(memory.at(0, 8), 8);
  assert.equal(PEM_read_bio_X509(bio, null, null, null), 0);
  BIO_free(bio);
  assert.equal(opensslReason().text, 'no start line');
  assert.deepEqual(opensslReason(), { text: '', isAlert: false, isTruncation: false });
});

test('a protocol is listed with its length in front', () => {
  assert.deepEqual(alpnList('h2').buffer, Buffer.from([2, 0x68, 0x32]));
});
