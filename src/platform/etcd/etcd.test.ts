import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { systemClock } from '#platform/clock.ts';
import { type EtcdCluster, etcdCluster, until } from './cluster.testing.ts';
import { EtcdConnection } from './connection.ts';
import { followPrefix } from './follow-prefix.ts';
import { listKeys } from './list-keys.ts';
import { commit, putOp } from './txn.ts';

// One etcd for all of them: a member that one case ended is back before the next.

function connected(t: TestContext, { members }: EtcdCluster): EtcdConnection {
  const connection = new EtcdConnection({ members, tls: null });
  t.after(() => connection.close());
  return connection;
}

async function followed(t: TestContext, connection: EtcdConnection, prefix: string) {
  const texts = new Map<string, string>();
  const told: [string, string | null][][] = [];
  const troubles: (string | null)[] = [];
  const follower = await followPrefix(connection, prefix, systemClock, {
    changed(changes) {
      told.push([...changes]);
      for (const [name, text] of changes) {
        if (text === null) texts.delete(name);
        else texts.set(name, text);
      }
    },
    trouble: (problem) => troubles.push(problem?.code ?? null),
  });
  t.after(() => follower.close());
  const has = (name: string, text: string | undefined) =>
    until(`${name} as ${text}`, async () => assert.equal(texts.get(name), text), 10_000);
  return { texts, told, troubles, has, follower };
}

test('etcd as three members', async (t) => {
  const etcd = await etcdCluster(t);

  await t.test('all below a prefix is listed in pages, as of one revision', async (t) => {
    const connection = connected(t, etcd);
    for (let at = 0; at < 600; at += 100)
      await commit(
        connection,
        [],
        Array.from({ length: 100 }, (_none, i) => putOp(`/list/${at + i}`, String(at + i))),
      );
    await etcd.ctl('put', '/lisu', 'another prefix');
    const { entries, revision } = await listKeys(connection, '/list/');
    assert.equal(entries.size, 600);
    assert.equal(entries.get('505'), '505');
    assert.ok(revision >= 6n);
  });

  await t.test('what is there is told first, then what changes, in order', async (t) => {
    await etcd.ctl('put', '/a/x', '1');
    const { told, has } = await followed(t, connected(t, etcd), '/a/');
    await etcd.ctl('put', '/a/y', '2');
    await etcd.ctl('put', '/b/y', 'elsewhere');
    await etcd.ctl('del', '/a/x');
    await etcd.ctl('put', '/a/y', '3');
    await has('y', '3');
    assert.deepEqual(told, [[['x', '1']], [['y', '2']], [['x', null]], [['y', '3']]]);
  });

  await t.test('a killed member is left for another, and nothing is missed', async (t) => {
    const connection = connected(t, etcd);
    const { has, troubles } = await followed(t, connection, '/kill/');
    const at = etcd.members.indexOf(connection.member);
    await etcd.kill(at);
    await until('a write', () => etcd.ctl('put', '/kill/x', '1')); // it may have been the one that led
    await has('x', '1');
    assert.deepEqual(troubles, ['WEFT_ETCD', null], 'told once, and that it is over');
    assert.equal((await listKeys(connection, '/kill/')).entries.get('x'), '1');
    await etcd.restart(at);
  });

  await t.test('a member that stands still is left as well', async (t) => {
    const connection = connected(t, etcd);
    const { has } = await followed(t, connection, '/still/');
    const at = etcd.members.indexOf(connection.member);
    etcd.freeze(at);
    t.after(() => etcd.thaw(at));
    // Not by etcdctl, which may ask the one that stands still.
    const others = new EtcdConnection({ members: etcd.members.filter((_one, i) => i !== at), tls: null });
    t.after(() => others.close());
    await until('a leader of the two', async () => void (await listKeys(others, '/still/')));
    await until('a write', () => put(etcd, at, '/still/x', '1'));
    await has('x', '1');
    etcd.thaw(at);
  });

  await t.test('a watch on what etcd has forgotten reads all anew, and tells what is gone', async (t) => {
    await etcd.ctl('put', '/old/a', '1');
    await etcd.ctl('put', '/old/b', '1');
    const connection = connected(t, etcd);
    const { texts, has } = await followed(t, connection, '/old/');
    const at = etcd.members.indexOf(connection.member);
    etcd.freeze(at); // what happens now is told to nobody
    t.after(() => etcd.thaw(at));
    await until('a removal', () => ctlBut(etcd, at, 'del', '/old/a'));
    await until('a write', () => put(etcd, at, '/old/c', '1'));
    const { header } = JSON.parse(await ctlBut(etcd, at, 'get', '/old/c', '-w', 'json')) as { header: { revision: number } };
    await ctlBut(etcd, at, 'compact', String(header.revision));
    await has('c', '1');
    assert.deepEqual([...texts.keys()].sort(), ['b', 'c']);
    etcd.thaw(at);
  });

  await t.test('where no member answers, what is wrong and what to do is told', async (t) => {
    const connection = new EtcdConnection({ members: ['127.0.0.1:1', '127.0.0.1:2'], tls: null });
    t.after(() => connection.close());
    await assert.rejects(listKeys(connection, '/'), { code: 'WEFT_ETCD', message: /127\.0\.0\.1:\d/, remedy: /most members/ });
  });
});

function ctlBut(etcd: EtcdCluster, left: number, ...words: string[]): Promise<string> {
  return etcd.ctl('--endpoints', etcd.members.filter((_one, at) => at !== left).join(), ...words);
}

async function put(etcd: EtcdCluster, left: number, key: string, value: string): Promise<void> {
  await ctlBut(etcd, left, 'put', key, value);
}
