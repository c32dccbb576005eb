import assert from 'node:assert/strict';
import test from 'node:test';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { ClusterListener, FollowedKind } from '#protocol/kubernetes/following.ts';
import { NamedObjects } from './named-objects.ts';

const KIND: FollowedKind = {
  ...{ group: '', kind: 'ConfigMap', versions: ['v1'], fieldSelector: 'metadata.name=istio' },
  keep: (object) => object,
};

/** Watches by `<namespace> <field selector>`, each with what it would tell. */
function rig() {
  const open = new Map<string, { listener: ClusterListener; tell: () => void }>();
  const clock = new SteppedClock();
  const named = new NamedObjects({
    kind: KIND,
    named: { plural: 'configmaps' },
    clock,
    listener: { changed: () => {}, trouble: () => {} },
    follow(kinds, listener) {
      const [[kind, served] = []] = kinds;
      assert.equal(served?.plural, 'configmaps');
      const key = `${kind?.namespace} ${kind?.fieldSelector}`;
      const { promise, resolve } = Promise.withResolvers<void>();
      open.set(key, { listener, tell: resolve });
      return { told: promise, problems: () => [key], close: () => void open.delete(key) };
    },
  });
  return { named, open, clock };
}

const to = (name: string, kind = 'ConfigMap') => ({ kind, namespace: 'shop', name });

test('an object is followed for as long as something refers to it, and gone afterwards', () => {
  const { named, open } = rig();
  named.refer('a', [to('ca'), to('ca', 'Secret'), to('istio')]);
  named.refer('b', [to('ca'), to('other')]);
  assert.deepEqual([...open.keys()], ['shop metadata.name=ca', 'shop metadata.name=other']);
  assert.deepEqual(named.refer('a', []), []);
  assert.deepEqual(named.refer('b', [to('ca')]), ['shop/other']);
  assert.deepEqual([...open.keys()], ['shop metadata.name=ca']);
  assert.deepEqual(named.refer('b', []), ['shop/ca']);
  assert.deepEqual([...open.keys(), named.problems()].flat(), []);
  named.refer('a', [to('ca')]);
  named.close();
  assert.equal(open.size, 0);
});

test('the first look waits for what is told, or refused, and for nothing longer than a while', async () => {
  const { named, open, clock } = rig();
  named.refer('a', [to('ca'), to('other')]);
  const known = named.known();
  open.get('shop metadata.name=ca')?.tell();
  open.get('shop metadata.name=other')?.listener.trouble(new Error('forbidden'));
  await known;
  named.refer('a', [to('slow')]);
  const late = named.known();
  clock.advance(5_000);
  await late;
});

test('no more are followed than a bound says', () => {
  const { named, open } = rig();
  named.refer(
    'a',
    Array.from({ length: 300 }, (_, at) => to(`m${at}`)),
  );
  assert.equal(open.size, 256);
});
