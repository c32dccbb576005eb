import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import { createMishaps } from '#model/effects/mishaps.ts';
import { DirectDuplex } from '#platform/relay/direct-duplex.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import { answerOf, connectHttp2, connectStream, createTestIdentities, echo, serverOf } from './peers.testing.ts';

const { web, cart } = await createTestIdentities();
const serve = serverOf(cart);

const plant = (): never => {
  throw new Error('planted');
};

/** Not at once, but with the first bytes. */
const plantOnce = () => {
  let calls = 0;
  return () => (calls++ === 0 ? undefined : plant());
};

/** Read as the relay reads it. */
function direct(tunnel: InboundTunnel): DirectDuplex {
  const stream = tunnel.accept('');
  return stream instanceof DirectDuplex ? stream : assert.fail('not a tunnel of ours');
}

/** What a tunnel's user does wrong, by where. */
const mistakes: { name: string; onTunnel(tunnel: InboundTunnel): void }[] = [
  { name: 'when it is asked for', onTunnel: plant },
  { name: 'when its bytes arrive', onTunnel: (tunnel) => direct(tunnel).readInto({ bytes: plant, flush() {} }) },
  { name: 'when a read is over', onTunnel: (tunnel) => direct(tunnel).readInto({ bytes() {}, flush: plantOnce() }) },
];
for (const { name, onTunnel } of mistakes) {
  test(`S17: a mistake over one tunnel ${name} ends that one; the others of its connection go on`, async (t) => {
    const mishaps = createMishaps(SILENT_LOG, new SteppedClock());
    const { port } = await serve(t, (tunnel) => (tunnel.authority.endsWith(':1') ? onTunnel(tunnel) : echo(tunnel)), { mishaps });
    const client = connectHttp2(t, port, web);
    const good = connectStream(client, '127.0.0.1:2');
    await answerOf(good);
    const bad = connectStream(client, '127.0.0.1:1');
    bad.on('error', () => {});
    bad.end('bytes');
    await once(bad, 'close');
    good.end('still here');
    assert.equal(String((await once(good, 'data'))[0]), 'still here');
    assert.equal(mishaps.counts().get('tunnel'), 1);
  });
}
