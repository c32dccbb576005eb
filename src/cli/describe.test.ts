import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { parse } from 'yaml';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { bookshop } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { describe } from '#control-plane/status/describe.ts';
import { readCrds } from '#platform/files/crds.ts';
import type { FindingStatus } from '#protocol/api/control.ts';
import type { DescribedKind } from '#protocol/api/describe.ts';
import { matchesGolden } from '../../test/structure/golden.ts';
import { completeDescription, formatDescription } from './describe.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const IDENTITY = 'spiffe://cluster.local/ns/books/sa/storefront';

const FINDING: FindingStatus = {
  ...{
    code: 'WEFT_X',
    severity: 'warning',
    resource: 'Service books/reviews',
    fieldPath: '',
    message: 'is odd',
    remedy: 'mend it',
  },
  origin: { kind: 'file', file: 'a.yaml', line: 3, column: 1 },
};

/** Of the service, and of others that are called like it. */
const FINDINGS = ['Service', 'Gateway', 'Pod', 'AuthorizationPolicy'].map((kind) => ({
  ...FINDING,
  resource: `${kind} books/reviews`,
}));

const OF_PEERS = { ...FINDING, resource: 'PeerAuthentication books/probes' };

/** The bookshop, a workload of which a node registered. */
async function describedBookshop() {
  const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
  const mesh = bookshop(parser, ['10.2.0.2']);
  const snapshot = mesh.index.snapshot();
  const agent = {
    node: 'beta',
    workloads: [...snapshot.workloads.values()].map(({ uid }) => ({
      uid,
      identity: '',
      node: '',
      addresses: [],
      path: 'direct',
    })),
    certificates: [{ identity: IDENTITY, notAfter: '2026-01-01T12:00:00Z', renewing: false, error: null }],
  };
  return (kind: DescribedKind, namespace: string, name: string) =>
    completeDescription(describe(snapshot, { kind, namespace, name }), [agent], {
      conditions: [],
      findings: [...FINDINGS, OF_PEERS],
    });
}

test('H11: things of the bookshop are described with all that applies to them', async () => {
  const full = await describedBookshop();
  const text = (
    [
      ['workload', 'books', 'storefront'],
      ['workload', 'books', 'reviews-v1-7d4b9-abcde'],
      ['service', 'books', 'reviews'],
      ['waypoint', 'books', 'waypoint'],
    ] as const
  ).map(([kind, namespace, name]) => formatDescription(full(kind, namespace, name), 'text', NOW));
  matchesGolden(join(import.meta.dirname, 'golden/describe.txt'), (await Promise.all(text)).join('\n'));
});

test('H11: every policy of the bookshop is described with what it says, and whom it holds for', async () => {
  const full = await describedBookshop();
  const names = [
    ...readFileSync(join(import.meta.dirname, '../control-plane/kinds/golden/bookshop.yaml'), 'utf8').matchAll(
      /kind: (?:AuthorizationPolicy)\s+metadata:\s*\{?\s*name: ([\w-]+),?\s+namespace: ([\w-]+)/g,
    ),
  ];
  assert.ok(names.length >= 3, `${names.length} policies`);
  const text = names.map(([, name = '', namespace = '']) => formatDescription(full('policy', namespace, name), 'text', NOW));
  matchesGolden(join(import.meta.dirname, 'golden/describe-policies.txt'), (await Promise.all(text)).join('\n'));
});

test('H11: json and yaml say the same, and what is not there is an error with a remedy', async () => {
  const full = await describedBookshop();
  const service = full('service', 'books', 'reviews');
  const json: unknown = JSON.parse(await formatDescription(service, 'json', NOW));
  assert.deepEqual(parse(await formatDescription(service, 'yaml', NOW)), json);
  assert.deepEqual(json, structuredClone(service));
  assert.deepEqual(service.findings, [FINDING]);
  const peers = full('policy', 'books', 'probes');
  assert.equal(peers.policies[0]?.name, 'books/converted_peer_authentication_probes');
  assert.deepEqual(peers.findings, [OF_PEERS]);
  assert.deepEqual(full('workload', 'books', 'reviews-v1-7d4b9-abcde').findings, [OF_PEERS]);
  assert.throws(() => full('service', 'books', 'moon'), { code: 'WEFT_NOTHING_SO_NAMED', remedy: /weft status/ });
});
