import assert from 'node:assert/strict';
import test from 'node:test';
import { type ApiCalls, apiCallFindings, type PeerRule } from './api-calls.ts';

const POD = { namespace: 'shop', name: 'hook-1', labels: { app: 'hook' }, ports: { admit: 9443 } };
const CALL = { who: 'the webhook a.example', namespace: 'shop', service: 'hook', port: 443 };
const SERVICE = { namespace: 'shop', name: 'hook', selector: { app: 'hook' }, targets: new Map([[443, 'admit']]) };
const STRICT: PeerRule = { namespace: 'shop', name: 'all', createdAtMs: 1, selects: null, mode: 'STRICT', ports: {} };
const MESH: PeerRule = { ...STRICT, namespace: 'istio-system' };
const OWN: PeerRule = { ...STRICT, name: 'own', createdAtMs: 2, selects: { app: 'hook' }, mode: 'UNSET' };
const permissiveAt = (port: number): PeerRule => ({ ...OWN, ports: { [port]: 'PERMISSIVE' } });

const cases: { name: string; peers: PeerRule[]; calls?: Partial<ApiCalls>; finds: boolean }[] = [
  { name: 'nothing is asked of peers', peers: [], finds: false },
  { name: 'STRICT of its namespace', peers: [STRICT], finds: true },
  { name: 'STRICT of the mesh', peers: [MESH], finds: true },
  { name: 'STRICT of another namespace', peers: [{ ...STRICT, namespace: 'bank' }], finds: false },
  { name: 'its namespace says otherwise than the mesh', peers: [MESH, { ...STRICT, mode: 'PERMISSIVE' }], finds: false },
  { name: 'an exception for the port, by which the Service names it', peers: [STRICT, permissiveAt(9443)], finds: false },
  { name: 'an exception for another port', peers: [STRICT, permissiveAt(443)], finds: true },
  {
    name: 'STRICT for the port alone',
    peers: [{ ...OWN, mode: 'PERMISSIVE', ports: { 9443: 'STRICT' } }],
    finds: true,
  },
  {
    name: 'of two of the pod the older counts',
    peers: [
      { ...OWN, mode: 'STRICT' },
      { ...permissiveAt(9443), createdAtMs: 1 },
    ],
    finds: false,
  },
  {
    name: 'of two at once the first by name',
    peers: [
      { ...OWN, mode: 'STRICT' },
      { ...permissiveAt(9443), name: 'a' },
    ],
    finds: false,
  },
  { name: 'one of other pods', peers: [{ ...OWN, mode: 'STRICT', selects: { app: 'db' } }], finds: false },
  { name: 'a Service that is not there', peers: [STRICT], calls: { services: [] }, finds: false },
  {
    name: 'one of which somebody else writes the endpoints',
    peers: [STRICT],
    calls: { services: [{ ...SERVICE, selector: {} }] },
    finds: false,
  },
  { name: 'a port that it has not', peers: [STRICT], calls: { calls: [{ ...CALL, port: 80 }] }, finds: false },
  {
    name: 'a port that the pod has not',
    peers: [STRICT],
    calls: { services: [{ ...SERVICE, targets: new Map([[443, 'x']]) }] },
    finds: false,
  },
];
for (const { name, peers, calls, finds } of cases)
  test(`K153: the API server calls a pod of the mesh: ${name}`, () => {
    const found = apiCallFindings({ calls: [CALL], services: [SERVICE], peers, ...calls }, [POD]);
    assert.deepEqual(
      found.map(({ code, message }) => [code, message]),
      finds
        ? [
            [
              'WEFT_CHECK_CLUSTER_API_CALL',
              'the API server calls the webhook a.example at port 9443 of pod shop/hook-1, where STRICT holds',
            ],
          ]
        : [],
    );
  });

test('K153: of several pods one finding, and none where none is in the mesh', () => {
  const facts = { calls: [CALL], services: [SERVICE], peers: [STRICT] };
  assert.equal(apiCallFindings(facts, [POD, { ...POD, name: 'hook-2' }]).length, 1);
  assert.deepEqual(apiCallFindings(facts, []), []);
});
