import assert from 'node:assert/strict';
import test from 'node:test';
import { type Entry, entry } from '#control-plane/index/table.ts';
import { ask } from './ask.testing.ts';
import {
  inheritedMode,
  NAMESPACE_MODES,
  type NamespaceMode,
  NODE_POLICIES,
  POLICY_TABLES,
  policiesOfWorkload,
  SELECTED_PEERS,
  staticStrictKey,
} from './workload-policies.ts';

const ROOT = 'istio-system';
const STRICT = 'istio-system/istio_converted_static_strict';

const mode = (namespace: string, said: NamespaceMode['mode']): Entry =>
  entry(NAMESPACE_MODES, namespace, { mode: said, name: `${namespace}/default` });
const policy = (key: string, labels: Record<string, string>): Entry =>
  entry(NODE_POLICIES, key, { namespace: key.split('/')[0] ?? '', labels, policy: key });
const peers = (name: string, labels: Record<string, string>, said: string | null, createdAtMs: number | null = null): Entry =>
  entry(SELECTED_PEERS, `shop/${name}`, {
    namespace: 'shop',
    labels,
    policy: said,
    metadata: { namespace: 'shop', name, createdAtMs },
  });

const inherited: { name: string; entries: Entry[]; want: string }[] = [
  { name: 'nobody said anything', entries: [], want: 'PERMISSIVE' },
  { name: 'the namespace', entries: [mode('shop', 'STRICT')], want: 'STRICT' },
  { name: 'the mesh', entries: [mode(ROOT, 'STRICT')], want: 'STRICT' },
  { name: 'the namespace before the mesh', entries: [mode('shop', 'PERMISSIVE'), mode(ROOT, 'STRICT')], want: 'PERMISSIVE' },
  { name: 'a namespace that leaves it to the mesh', entries: [mode('shop', null), mode(ROOT, 'STRICT')], want: 'STRICT' },
  { name: 'both leave it open', entries: [mode('shop', null), mode(ROOT, null)], want: 'PERMISSIVE' },
  { name: 'another namespace', entries: [mode('far', 'STRICT')], want: 'PERMISSIVE' },
];
for (const { name, entries, want } of inherited) {
  test(`inherited mode: ${name}`, () => {
    assert.equal(
      ask(entries, [NAMESPACE_MODES], (mesh) => inheritedMode(mesh, 'shop')),
      want,
    );
  });
}

const LABELS = { app: 'cart' };
const workloads: { name: string; entries: Entry[]; namespace?: string; want: string[] }[] = [
  { name: 'none', entries: [], want: [] },
  {
    name: 'those of its namespace that select it, in order of key',
    entries: [policy('shop/b', LABELS), policy('shop/a', LABELS), policy('shop/c', { app: 'x' })],
    want: ['shop/a', 'shop/b'],
  },
  {
    name: 'those of the root namespace too, none of others',
    entries: [policy('shop/b', LABELS), policy(`${ROOT}/a`, LABELS), policy('far/a', LABELS)],
    want: [`${ROOT}/a`, 'shop/b'],
  },
  {
    name: 'in the root namespace each once',
    entries: [policy(`${ROOT}/a`, LABELS)],
    namespace: ROOT,
    want: [`${ROOT}/a`],
  },
  {
    name: 'STRICT of its namespace, behind the others',
    entries: [mode('shop', 'STRICT'), policy('shop/z', LABELS)],
    want: ['shop/z', STRICT],
  },
  { name: 'PERMISSIVE of its namespace', entries: [mode('shop', 'PERMISSIVE')], want: [] },
  {
    name: 'what selects it beats what its namespace says',
    entries: [mode('shop', 'STRICT'), peers('p', LABELS, null)],
    want: [],
  },
  {
    name: 'a policy with ports of its own',
    entries: [mode('shop', 'STRICT'), peers('p', LABELS, 'shop/converted_p')],
    want: ['shop/converted_p'],
  },
  { name: 'what selects others', entries: [peers('p', { app: 'x' }, 'shop/converted_p')], want: [] },
  {
    name: 'of two that select it the older one',
    entries: [peers('a', LABELS, 'shop/a', 2000), peers('b', LABELS, 'shop/b', 1000)],
    want: ['shop/b'],
  },
  {
    name: 'of two of one age the first by name',
    entries: [peers('b', LABELS, 'shop/b'), peers('a', LABELS, 'shop/a')],
    want: ['shop/a'],
  },
];
for (const { name, entries, namespace = 'shop', want } of workloads) {
  test(`policies of a workload: ${name}`, () => {
    assert.deepEqual(
      ask(entries, [...POLICY_TABLES], (mesh) => policiesOfWorkload(mesh, namespace, LABELS)),
      want,
    );
  });
}

test('the static policy lies in the root namespace', () => {
  assert.deepEqual(staticStrictKey('root'), {
    name: 'istio_converted_static_strict',
    key: 'root/istio_converted_static_strict',
  });
});
