import assert from 'node:assert/strict';
import test from 'node:test';
import { systemClock } from '#platform/clock.ts';
import { etcdCluster, until } from './cluster.testing.ts';
import { EtcdConnection, type EtcdPlace } from './connection.ts';
import { followPrefix } from './follow-prefix.ts';
import { listKeys } from './list-keys.ts';
import { commit, putOp } from './txn.ts';

// A real etcd that asks its clients for a certificate.

test('C81: etcd over TLS', async (t) => {
  const etcd = await etcdCluster(t, { secure: true });
  const tls = etcd.tls ?? assert.fail('it is not secure');
  const connected = (changes: EtcdPlace['tls'], members = etcd.members): EtcdConnection => {
    const connection = new EtcdConnection({ members, tls: changes });
    t.after(() => connection.close());
    return connection;
  };

  await t.test('a client with a certificate writes, reads and follows, and is told nothing less when a member dies', async () => {
    const connection = connected(tls);
    await commit(connection, [], [putOp('/tls/x', '1')]);
    assert.deepEqual([...(await listKeys(connection, '/tls/')).entries], [['x', '1']]);
    const texts = new Map<string, string | null>();
    const follower = await followPrefix(connection, '/tls/', systemClock, {
      changed(changes) {
        for (const [name, text] of changes) texts.set(name, text);
      },
      trouble: () => {},
    });
    assert.equal(texts.get('x'), '1');
    const at = etcd.members.indexOf(connection.member);
    await etcd.kill(at);
    await until('a write', () => etcd.ctl('put', '/tls/x', '2'));
    await until('what was written', async () => assert.equal(texts.get('x'), '2'));
    follower.close();
    await etcd.restart(at);
  });

  const strangers: Record<string, EtcdPlace['tls']> = {
    'without a certificate': { ...tls, cert: null, key: null },
    'that speaks without TLS': null,
    'that trusts another authority': { ...tls, ca: tls.cert },
  };
  for (const [who, own] of Object.entries(strangers))
    await t.test(`a client ${who} gets nothing, and is told what to look at`, async () => {
      await assert.rejects(listKeys(connected(own), '/'), { code: 'WEFT_ETCD', remedy: /addresses and certificates/ });
    });

  await t.test('a member that is dialled by a name which its certificate does not carry is not believed', async () => {
    const byName = etcd.members.map((member) => member.replace('127.0.0.1', 'localhost'));
    await assert.rejects(listKeys(connected(tls, byName), '/'), { code: 'WEFT_ETCD', message: /altnames/ });
  });

  await t.test('what is no certificate is refused before anybody is dialled', () => {
    assert.throws(() => connected({ ...tls, cert: 'none' }), { code: 'WEFT_ETCD_TLS', remedy: /--store-cert/ });
  });
});
