import assert from 'node:assert/strict';
import { test } from 'node:test';
import { receivedBy, until } from './memory-sockets.testing.ts';
import { client, MESH, server, startTwoNodes } from './two-nodes.testing.ts';

test('S17: a mistake over one accepted connection resets that one, is told and counted, and the next is carried', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  const { captured } = rig.kernel.maps;
  const get = captured.get.bind(captured);
  const listeners = { captured: rig.dial.bind(rig, client, '10.0.1.2:8080'), plain: rig.plaintext.bind(rig, server, 8080) };
  for (const [name, dial] of Object.entries(listeners)) {
    let planted = true;
    const fails = <Value>(value: Value): Value => {
      if (!planted) return value;
      planted = false;
      throw new TypeError(`planted in ${name}`);
    };
    captured.get = (key: Parameters<typeof get>[0]) => fails(get(key));
    const { attested } = rig.kernel.maps;
    const attestedGet = attested.get.bind(attested);
    attested.get = (key: Parameters<typeof attestedGet>[0]) => fails(attestedGet(key));
    const [bad, good] = [receivedBy(dial()), dial()];
    const heard = receivedBy(good);
    good.write('hello');
    await until(() => bad.error() !== null && heard.text() === 'hello', `the end of one and the answer of the other (${name})`);
    const told = rig.lines.filter(({ entry }) => entry === 'accept');
    assert.match(String(told.at(-1)?.err), new RegExp(`planted in ${name}`));
    attested.get = attestedGet;
  }
  captured.get = get;
  assert.deepEqual([...rig.mishaps.counts()], [['accept', 2]]);
  assert.equal(rig.held(client), 1, 'only the one that goes on');
});
