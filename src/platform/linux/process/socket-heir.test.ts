import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askForSockets, offerSockets } from './socket-heir.ts';

const name = (): string => `test-${process.pid}-${Math.random()}`;
const SOCKETS = [{ netnsCookie: '0', transport: 'tcp' as const, port: 7, fd: 9 }];

test('F3: who offers nothing is not asked', async () => assert.equal((await askForSockets(name())).handover, null));

test('F3: the next process is given the sockets once, may offer them itself, and says when it has them', async () => {
  const [place, told] = [name(), [] as string[]];
  const give = (): typeof SOCKETS => {
    told.push('give');
    return SOCKETS;
  };
  const legacy = { give, taken: () => void told.push('taken') };
  await offerSockets(place, legacy, 5_000);
  const { handover, taken } = await askForSockets(place);
  assert.deepEqual(handover, { pid: process.pid, sockets: SOCKETS });
  const close = await offerSockets(place, { give: () => [], taken() {} }, 5_000);
  assert.deepEqual(told, ['give']);
  taken();
  while (told.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, ['give', 'taken']);
  close();
  assert.equal((await askForSockets(place)).handover, null);
});

test('F3: one that never says so is not waited for', async () => {
  const place = name();
  const { promise, resolve } = Promise.withResolvers<void>();
  await offerSockets(place, { give: () => SOCKETS, taken: resolve }, 1);
  const { taken } = await askForSockets(place);
  await promise;
  taken();
});
