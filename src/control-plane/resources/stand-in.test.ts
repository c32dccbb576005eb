import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { readCrds } from '#platform/files/crds.ts';
import { createResourceParser } from './resource-parser.ts';

// What takes the place of a document that is rejected, from whatever of it can be read.

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

const AP = { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy' };
const PA = { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication' };
const ROUTE = { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute' };
const SHOP = { name: 'p', namespace: 'shop' };
const BAD_RULES = [{ to: [{ operation: { ports: ['x'] } }] }];
const SELECTOR = { matchLabels: { app: 'cart' } };
const service = (name: string) => ({ group: '', kind: 'Service', name });

type Want = { name?: string; selector?: object | null; targets?: object[]; effect: RegExp } | null;

const ALL_OF_SHOP = /^nothing is allowed to all workloads of namespace shop/;

const cases: { name: string; document: object; want: Want }[] = [
  {
    name: 'a rule that is invalid closes what the selector picks',
    document: { ...AP, metadata: SHOP, spec: { selector: SELECTOR, rules: BAD_RULES } },
    want: {
      selector: { app: 'cart' },
      targets: [],
      effect: /^nothing is allowed to the workloads with app=cart of namespace shop$/,
    },
  },
  {
    name: 'without a selector its namespace',
    document: { ...AP, metadata: SHOP, spec: { rules: BAD_RULES } },
    want: { selector: null, targets: [], effect: ALL_OF_SHOP },
  },
  {
    name: 'with targets the targets',
    document: { ...AP, metadata: SHOP, spec: { targetRefs: [service('cart')], rules: BAD_RULES } },
    want: {
      selector: null,
      targets: [{ kind: 'Service', name: 'cart' }],
      effect: /^nothing is allowed to Service shop\/cart$/,
    },
  },
  {
    name: 'the old single target, too',
    document: { ...AP, metadata: SHOP, spec: { targetRef: service('cart'), rules: BAD_RULES } },
    want: { targets: [{ kind: 'Service', name: 'cart' }], effect: /Service shop\/cart/ },
  },
  {
    name: 'selector and targets at once: its namespace',
    document: { ...AP, metadata: SHOP, spec: { selector: SELECTOR, targetRefs: [service('cart')] } },
    want: { selector: null, targets: [], effect: ALL_OF_SHOP },
  },
  {
    name: 'a target of which the kind is wrong: its namespace',
    document: { ...AP, metadata: SHOP, spec: { targetRefs: [service('a'), { kind: 'Sarvice', name: 'cart' }] } },
    want: { selector: null, targets: [], effect: ALL_OF_SHOP },
  },
  {
    name: 'targets that are no list: its namespace',
    document: { ...AP, metadata: SHOP, spec: { targetRefs: 'cart' } },
    want: { selector: null, targets: [], effect: ALL_OF_SHOP },
  },
  {
    name: 'a label that nothing can carry is left out of the selector',
    document: { ...AP, metadata: SHOP, spec: { selector: { matchLabels: { app: 'c*', tier: 'db' } } } },
    want: { selector: { tier: 'db' }, effect: /tier=db/ },
  },
  {
    name: 'a selector of nothing but such labels: its namespace',
    document: { ...AP, metadata: SHOP, spec: { selector: { matchLabels: { app: '*' } } } },
    want: { selector: null, effect: ALL_OF_SHOP },
  },
  {
    name: 'a selector of the wrong shape: its namespace',
    document: { ...AP, metadata: SHOP, spec: { selector: ['app'] } },
    want: { selector: null, effect: ALL_OF_SHOP },
  },
  {
    name: 'a spec of the wrong shape: its namespace',
    document: { ...AP, metadata: SHOP, spec: 'deny' },
    want: { selector: null, effect: ALL_OF_SHOP },
  },
  {
    name: 'an unknown field',
    document: { ...AP, metadata: SHOP, spec: { selector: SELECTOR, ruels: [] } },
    want: { selector: { app: 'cart' }, effect: /app=cart/ },
  },
  {
    name: 'an unknown version',
    document: { ...AP, apiVersion: 'security.istio.io/v7', metadata: SHOP, spec: { selector: SELECTOR } },
    want: { selector: { app: 'cart' }, effect: /app=cart/ },
  },
  {
    name: 'a misspelt kind',
    document: { ...AP, kind: 'AuthorisationPolicy', metadata: SHOP, spec: { selector: SELECTOR } },
    want: { selector: { app: 'cart' }, effect: /app=cart/ },
  },
  {
    name: 'no group',
    document: { ...AP, apiVersion: 'v1', metadata: SHOP, spec: { selector: SELECTOR } },
    want: { selector: { app: 'cart' }, effect: /app=cart/ },
  },
  {
    name: 'no apiVersion',
    document: { kind: AP.kind, metadata: SHOP, spec: { selector: SELECTOR } },
    want: { selector: { app: 'cart' }, effect: /app=cart/ },
  },
  {
    name: 'no kind: the strictest of its group',
    document: { apiVersion: AP.apiVersion, metadata: SHOP, spec: { selector: SELECTOR } },
    want: { selector: { app: 'cart' }, effect: /^nothing is allowed/ },
  },
  {
    name: 'no name',
    document: { ...AP, metadata: { namespace: 'shop' }, spec: { selector: SELECTOR } },
    want: { name: 'here', selector: { app: 'cart' }, effect: /app=cart/ },
  },
  {
    name: 'no metadata: the default namespace',
    document: { ...AP, spec: {} },
    want: { name: 'here', selector: null, effect: /namespace default/ },
  },
  {
    name: 'a namespace that YAML reads as a number',
    document: { ...AP, metadata: { name: 'p', namespace: 7 }, spec: {} },
    want: { effect: /namespace 7/ },
  },
  {
    name: 'AUDIT restricts nothing',
    document: { ...AP, metadata: SHOP, spec: { action: 'AUDIT', rules: BAD_RULES } },
    want: null,
  },
  {
    name: 'nor does a trial',
    document: { ...AP, metadata: { ...SHOP, annotations: { 'istio.io/dry-run': 'true' } }, spec: { rules: BAD_RULES } },
    want: null,
  },
  {
    name: 'PeerAuthentication: STRICT where it selects',
    document: { ...PA, metadata: SHOP, spec: { selector: SELECTOR, mtls: { mode: 'STRCT' } } },
    want: { selector: { app: 'cart' }, effect: /^plain text is refused by the workloads with app=cart/ },
  },
  {
    name: 'PeerAuthentication with ports and no selector: STRICT in its namespace',
    document: { ...PA, metadata: SHOP, spec: { portLevelMtls: { 80: { mode: 'STRICT' } } } },
    want: { selector: null, effect: /^plain text is refused by all workloads of namespace shop/ },
  },
  {
    name: 'a route with filters: 500 for its parents',
    document: { ...ROUTE, metadata: SHOP, spec: { parentRefs: [service('cart')], rules: [{ filters: [{ type: 'No' }] }] } },
    want: { effect: /^requests to Service shop\/cart that no other route takes are answered 500$/ },
  },
  {
    name: 'a route whose rules are no list',
    document: { ...ROUTE, metadata: SHOP, spec: { parentRefs: [service('cart')], rules: 'all' } },
    want: { effect: /answered 500/ },
  },
  {
    name: 'a route without filters distributes only',
    document: { ...ROUTE, metadata: SHOP, spec: { parentRefs: [service('cart')], rules: [{ matches: 'x' }] } },
    want: null,
  },
  { name: 'a service', document: { apiVersion: 'v1', kind: 'Service', metadata: SHOP, spec: { ports: 1 } }, want: null },
];

for (const { name, document, want } of cases)
  test(`stands in for what is rejected: ${name}`, () => {
    const reading = parser.read(structuredClone(document), 'here');
    assert.equal(reading.kind, 'rejected');
    const { standIn } = reading as Extract<typeof reading, { kind: 'rejected' }>;
    if (want === null || standIn === null) {
      assert.deepEqual(standIn, want);
      return;
    }
    const { effect, ...rest } = want;
    const resource: Record<string, unknown> = { ...standIn.resource, name: standIn.resource.metadata.name };
    for (const [field, value] of Object.entries({ name: 'p', ...rest })) assert.deepEqual(resource[field], value, field);
    assert.match(standIn.effect, effect);
  });
