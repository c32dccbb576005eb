import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import test from 'node:test';
import tls from 'node:tls';
import { readClientHello } from './client-hello.ts';

/** What a client of OpenSSL says first. */
function helloOf(servername: string): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer) {
        resolve(chunk);
      },
    });
    tls.connect({ socket: wire, servername, rejectUnauthorized: false }).on('error', () => {});
  });
}

/** The same message in records of `size` bytes. */
function inRecords(record: Buffer, size: number): Buffer {
  const message = record.subarray(5);
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(parts);
}

/** A hello of our own. */
function made(extensions: Buffer): Buffer {
  const body = Buffer.concat([Buffer.alloc(34, 3), Buffer.from([0, 0, 2, 0x13, 1, 1, 0]), u16(extensions.length), extensions]);
  const message = Buffer.concat([Buffer.from([1, 0]), u16(body.length), body]);
  return Buffer.concat([Buffer.from([22, 3, 1]), u16(message.length), message]);
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255]);
}

function named(name: string, type = 0): Buffer {
  const entry = Buffer.concat([Buffer.from([type]), u16(name.length), Buffer.from(name)]);
  return Buffer.concat([u16(0), u16(entry.length + 2), u16(entry.length), entry]);
}

test('the name that OpenSSL asks for is read, in one record or in many', async () => {
  const hello = await helloOf('Cart.shop.example');
  for (const size of [1, 7, 100, 16_000]) {
    assert.deepEqual(readClientHello(inRecords(hello, size)), { kind: 'hello', serverName: 'cart.shop.example' });
  }
});

test('what has come so far decides nothing before the whole hello is there', async () => {
  const hello = inRecords(await helloOf('cart.example'), 50);
  for (let length = 0; length < hello.length; length++) {
    assert.equal(readClientHello(hello.subarray(0, length)).kind, 'incomplete', `${length} bytes`);
  }
  assert.equal(readClientHello(Buffer.concat([hello, Buffer.from('more')])).kind, 'hello');
});

test('a client that asks for no name says so', async () => {
  assert.deepEqual(readClientHello(await helloOf('')), { kind: 'hello', serverName: null });
  assert.deepEqual(readClientHello(made(Buffer.alloc(0))), { kind: 'hello', serverName: null });
});

const OTHERS: { name: string; bytes: Buffer }[] = [
  { name: 'HTTP', bytes: Buffer.from('GET / HTTP/1.1\r\n') },
  { name: 'a record of another kind', bytes: Buffer.from([23, 3, 1, 0, 1, 0]) },
  { name: 'another version of records', bytes: Buffer.from([22, 2, 0, 0, 1, 1]) },
  { name: 'an empty record', bytes: Buffer.from([22, 3, 1, 0, 0]) },
  { name: 'a record that is too long', bytes: Buffer.from([22, 3, 1, 0x40, 1]) },
  { name: 'another message', bytes: Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]) },
  { name: 'a hello that another record interrupts', bytes: Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 9, 20, 3, 1, 0, 1, 1]) },
  { name: 'a hello without its ciphers', bytes: Buffer.from([22, 3, 1, 0, 4, 1, 0, 0, 0]) },
  { name: 'two names', bytes: made(Buffer.concat([named('a.example'), named('b.example')])) },
  { name: 'a name of another kind', bytes: made(named('a.example', 1)) },
  { name: 'a name with a NUL', bytes: made(named('a.example\0b')) },
  { name: 'an empty name', bytes: made(named('')) },
  { name: 'an extension that is cut off', bytes: made(named('a.example').subarray(0, -1)) },
];
for (const { name, bytes } of OTHERS) {
  test(`${name} is not taken for a hello`, () => assert.deepEqual(readClientHello(bytes), { kind: 'other' }));
}
