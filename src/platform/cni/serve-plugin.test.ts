import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { AGENT } from '#model/settings/agents.ts';
import { servePlugin } from './serve-plugin.ts';

function place(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'weft-plugin-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, 'run', 'cni.sock');
}

/** All that is answered; '' when it is nothing. */
function ask(path: string, request: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ path, allowHalfOpen: true });
    let reply = '';
    socket.on('data', (chunk) => {
      reply += chunk;
    });
    socket.on('error', () => {}); // then nothing is answered
    socket.on('close', () => resolve(reply));
    socket.end(request);
  });
}

test('what was asked is answered, to root alone', async (t) => {
  const path = place(t);
  t.after(await servePlugin(path, async (request) => `heard ${request.length}`));
  assert.equal(await ask(path, 'x'.repeat(300_000)), 'heard 300000');
  assert.equal(statSync(path).mode & 0o077, 0);
});

test('what is too much, and what nobody can answer, is answered by nothing', async (t) => {
  const path = place(t);
  let asked = 0;
  t.after(
    await servePlugin(path, async () => {
      if (++asked === 2) throw new Error('a mistake');
      return null;
    }),
  );
  assert.equal(await ask(path, 'x'.repeat(AGENT.cniRequestBytesMax + 1)), '');
  assert.equal(asked, 0);
  assert.deepEqual([await ask(path, 'a'), await ask(path, 'b'), asked], ['', '', 2]);
});

test('the next agent is asked from the moment it is there, whatever the former one still answers', async (t) => {
  const path = place(t);
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const { promise: heard, resolve: hear } = Promise.withResolvers<void>();
  const closeFormer = await servePlugin(path, async () => {
    hear();
    await held;
    return 'the former';
  });
  const before = ask(path, 'a');
  await heard;
  t.after(await servePlugin(path, async () => 'the next'));
  assert.equal(await ask(path, 'b'), 'the next');
  closeFormer();
  release();
  assert.equal(await before, '', 'who waits for one that ends asks again');
  assert.equal(await ask(path, 'c'), 'the next', 'its end takes nothing from the next');
});
