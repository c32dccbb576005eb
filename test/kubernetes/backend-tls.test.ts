import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { waitUntil } from '../../testbed/processes/wait.ts';
import { apiServer, SKIP } from './cluster.testing.ts';
import { controlOf, prepare } from './mesh.testing.ts';

// A BackendTLSPolicy of a cluster: the ConfigMap that it names is followed, as is every other thing.

const SOON_MS = 60_000;
const POLICY = `apiVersion: v1
kind: Service
metadata: { name: api, namespace: shop }
spec: { selector: { app: api }, ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: { name: api, namespace: shop }
spec:
  targetRefs: [{ group: "", kind: Service, name: api }]
  validation: { hostname: api.example.com, caCertificateRefs: [{ group: "", kind: ConfigMap, name: ca }] }
`;
describe('authorities of a cluster', { skip: SKIP }, () => {
  const api = apiServer({ controllers: true });
  before(() => (SKIP === false ? prepare(api()) : undefined));

  test('config-api 1.16: in a cluster a ConfigMap is followed as long as a policy names it', async (t) => {
    const server = api();
    /** What is said of the policy: conditions of its one ancestor. */
    const becomes = async (wanted: RegExp): Promise<void> => {
      let last = '';
      const isSaid = async (): Promise<boolean> => {
        const text = await server.kubectl('get', 'backendtlspolicy', 'api', '-n', 'shop', '-o', 'json');
        const { status } = JSON.parse(text) as { status?: { ancestors?: { conditions: Said[] }[] } };
        const [ancestor] = status?.ancestors ?? [];
        last = (ancestor?.conditions ?? []).map((one) => `${one.type}=${one.status}/${one.reason}`).join(' ');
        return wanted.test(last);
      };
      await waitUntil(`conditions ${wanted}`, SOON_MS, isSaid).catch((cause: unknown) => {
        throw new Error(`the conditions are ${last}`, { cause });
      });
    };
    const create = (text: string) => server.kubectl('create', 'configmap', 'ca', '-n', 'shop', `--from-literal=ca.crt=${text}`);
    const refused = /Accepted=False\/NoValidCACertificate ResolvedRefs=False\/InvalidCACertificateRef/;
    const accepted = /Accepted=True\/Accepted ResolvedRefs=True\/ResolvedRefs/;
    await server.apply(POLICY);
    await controlOf(t, server);
    await becomes(refused);
    await create(rootPem(server.kubeconfig));
    await becomes(accepted);
    await server.kubectl('delete', 'configmap', 'ca', '-n', 'shop');
    await becomes(refused);
    await create('nonsense');
    await server.kubectl('delete', 'backendtlspolicy', 'api', '-n', 'shop');
    await server.apply(POLICY);
    await becomes(refused);
    const patch = JSON.stringify({ data: { 'ca.crt': rootPem(server.kubeconfig) } });
    await server.kubectl('patch', 'configmap', 'ca', '-n', 'shop', '--type=merge', '-p', patch);
    await becomes(accepted);
  });
});

type Said = { type: string; status: string; reason: string };

/** Any certificate: that of the API server's own authority. */
function rootPem(kubeconfig: string): string {
  const data = /certificate-authority-data: (\S+)/.exec(readFileSync(kubeconfig, 'utf8'))?.[1];
  assert.ok(data !== undefined);
  return Buffer.from(data, 'base64').toString();
}
