import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { after, test } from 'node:test';
import { OpensslAuthority, rootOf, workloadExtensions } from './authority.testing.ts';
import { Rig, secureStream } from './rig.testing.ts';

// The TLS of nghttp2's programs, which is neither ours nor Node's: they speak HTTP/2 over it, of which the first frames suffice.

const authority = new OpensslAuthority();
after(() => authority.remove());
const root = rootOf(authority);
const own = authority.issue({ issuer: root, extensions: workloadExtensions('spiffe://td.local/ns/shop/sa/web') });

const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const SETTINGS_ACK = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]);
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

test('nghttp agrees on h2 with our server and shows its certificate', async () => {
  const rig = new Rig();
  const context = rig.context('server', own, root);
  const port = rig.serve(() => context);
  const output = new Promise<string>((resolve) =>
    execFile(
      'nghttp',
      ['-nv', `--cert=${own.certificateFile}`, `--key=${own.keyFile}`, `https://127.0.0.1:${port}/`],
      (_, text) => resolve(text),
    ),
  );
  const stream = secureStream(await rig.next());
  assert.equal(stream.peerChain.length, 2);
  const received: Buffer[] = [];
  const over = new Promise<void>((resolve) => stream.onOver(resolve));
  stream.read({
    bytes(buffer, start, end) {
      received.push(Buffer.from(buffer.subarray(start, end)));
      const answer = Buffer.concat([SETTINGS, SETTINGS_ACK]);
      if (received.length === 1) stream.write(answer, 0, answer.length);
      stream.end();
      return end - start;
    },
    end: () => stream.end(),
    writable() {},
    over() {},
  });
  assert.match(await output, /The negotiated protocol: h2[\s\S]*recv SETTINGS frame/);
  assert.deepEqual(Buffer.concat(received).subarray(0, PREFACE.length), PREFACE);
  await over;
  rig.close();
  context.close();
});

const hasServer = spawnSync('nghttpd', ['--version']).status === 0;
test('nghttpd agrees on h2 with our client, which it asks for a certificate', {
  skip: hasServer ? false : 'MISSING: nghttpd',
}, async () => {
  const place = net.createServer().listen(0, '127.0.0.1');
  await once(place, 'listening');
  const address = place.address();
  assert.ok(typeof address === 'object' && address !== null);
  place.close();
  const options = ['-v', '-a127.0.0.1', '--verify-client'];
  const server = spawn('nghttpd', [...options, String(address.port), own.keyFile, own.certificateFile]);
  const rig = new Rig();
  const context = rig.context('client', own, root);
  let secured = await rig.connect(address.port, context);
  // It does not say when it listens.
  while (secured.kind === 'gone') secured = await rig.connect(address.port, context);
  const stream = secureStream(secured);
  const first = new Promise<Buffer>((resolve) =>
    stream.read({
      bytes(buffer, start, end) {
        resolve(Buffer.from(buffer.subarray(start, end)));
        return end - start;
      },
      end() {},
      writable() {},
      over: (how) => resolve(Buffer.from(JSON.stringify(how))),
    }),
  );
  const hello = Buffer.concat([PREFACE, SETTINGS]);
  stream.write(hello, 0, hello.length);
  assert.equal((await first).readUInt8(3), 4, 'its first frame is SETTINGS');
  stream.reset();
  context.close();
  server.kill();
  await once(server, 'close');
});
