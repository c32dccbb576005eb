import assert from 'node:assert/strict';
import test from 'node:test';
import { apiCallsOf, calledServiceOf, peerRuleOf } from './api-calls.ts';
import type { KubeObject } from './objects.ts';

const object = (kind: string, fields: object): KubeObject => ({
  ...{ apiVersion: 'v1', kind, metadata: { name: 'x', namespace: 'shop', creationTimestamp: '1970-01-01T00:00:01Z' } },
  ...fields,
});
const service = { namespace: 'shop', name: 'hook' };

const calls: { name: string; object: KubeObject; who: string[] }[] = [
  {
    name: 'webhooks, but those by URL',
    object: object('MutatingWebhookConfiguration', {
      webhooks: [
        { name: 'a', clientConfig: { service } },
        { name: 'b', clientConfig: { url: 'https://x' } },
      ],
    }),
    who: ['the webhook a'],
  },
  { name: 'an API of others', object: object('APIService', { spec: { service } }), who: ['the API x'] },
  { name: 'an API of its own', object: object('APIService', { spec: {} }), who: [] },
  {
    name: 'a definition that is converted',
    object: object('CustomResourceDefinition', { spec: { conversion: { webhook: { clientConfig: { service } } } } }),
    who: ['the conversion of x'],
  },
  {
    name: 'one that is not',
    object: object('CustomResourceDefinition', { spec: { conversion: { strategy: 'None' } } }),
    who: [],
  },
];
for (const { name, object: one, who } of calls)
  test(`the API server calls: ${name}`, () =>
    assert.deepEqual(
      apiCallsOf(one),
      who.map((each) => ({ who: each, namespace: 'shop', service: 'hook', port: 443 })),
    ));

test('a Service that is called has the ports of its pods; UDP is no port to call', () => {
  const ports = [{ port: 443, targetPort: 'admit' }, { port: 80 }, { port: 53, protocol: 'UDP' }];
  assert.deepEqual(calledServiceOf(object('Service', { spec: { selector: { app: 'a' }, ports } })), {
    ...{ namespace: 'shop', name: 'x', selector: { app: 'a' } },
    targets: new Map<number, number | string>([
      [443, 'admit'],
      [80, 80],
    ]),
  });
});

test('a PeerAuthentication says its mode, those of ports, and whose; without labels the whole namespace', () => {
  const spec = {
    selector: { matchLabels: { app: 'a' } },
    mtls: { mode: 'STRICT' },
    portLevelMtls: { 80: { mode: 'DISABLE' }, 81: {} },
  };
  assert.deepEqual(peerRuleOf(object('PeerAuthentication', { spec })), {
    ...{ namespace: 'shop', name: 'x', createdAtMs: 1_000, selects: { app: 'a' }, mode: 'STRICT' },
    ports: { 80: 'DISABLE', 81: 'UNSET' },
  });
  const { selects, mode, ports } = peerRuleOf(object('PeerAuthentication', {}));
  assert.deepEqual([selects, mode, ports], [null, 'UNSET', {}]);
});
