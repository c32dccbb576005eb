import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { callSocket } from '#platform/local-api/call-socket.ts';
import { askRestart, type StopSignal, serveLab } from './lab-api.ts';

async function served(
  restart: (part: string, signal: StopSignal) => Promise<void>,
  body: (socketPath: string) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-lab-api-'));
  const socketPath = join(dir, 'lab.sock');
  const end = await serveLab(socketPath, restart);
  try {
    await body(socketPath);
  } finally {
    await end();
    await rm(dir, { recursive: true });
  }
}

test('restarts are done one after another, as they were asked for', async () => {
  const told: string[] = [];
  const restart = async (part: string, signal: StopSignal): Promise<void> => {
    told.push(`${part} ${signal}`);
    // Many turns of the event loop: the other call, of this process too, has come meanwhile.
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    told.push(`${part} runs`);
  };
  await served(restart, async (socket) => {
    await Promise.all([askRestart(socket, 'alpha', 'SIGKILL'), askRestart(socket, 'control', 'SIGTERM')]);
  });
  for (const at of [0, 2]) assert.equal(told[at + 1], `${told[at]?.split(' ')[0]} runs`);
  assert.deepEqual(told.filter((one) => one.includes('SIG')).sort(), ['alpha SIGKILL', 'control SIGTERM']);
});

test('an error of a restart reaches who asked, with its code and remedy, and the next restart is done', async () => {
  let calls = 0;
  const restart = async (): Promise<void> => {
    if (++calls === 1) throw new WeftError('WEFT_LAB_NODE', 'no such node', { remedy: 'write alpha' });
  };
  await served(restart, async (socket) => {
    await assert.rejects(askRestart(socket, 'gamma', 'SIGTERM'), { code: 'WEFT_LAB_NODE', remedy: 'write alpha' });
    await askRestart(socket, 'alpha', 'SIGTERM');
  });
  assert.equal(calls, 2);
});

test('anything else is refused, and a lab that is gone is told as such', async () => {
  const absent = { code: 'X', what: 'x', remedy: 'x' };
  let gone = '';
  await served(
    async () => assert.fail('restarted'),
    async (socketPath) => {
      gone = socketPath;
      for (const path of ['/v1/restart/', '/v1/restart/alpha?now', '/v1/status']) {
        await assert.rejects(callSocket({ socketPath, method: 'POST', path, timeoutMs: 5_000, absent }), {
          code: 'WEFT_API_PATH',
        });
      }
    },
  );
  await assert.rejects(askRestart(gone, 'alpha', 'SIGTERM'), { code: 'WEFT_LAB_NOT_UP' });
});
