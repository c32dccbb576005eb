import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { CRD_FILES, KINDS, MESH } from '#control-plane/kinds/list.ts';
import { formatFindings } from '#control-plane/resources/finding.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { matchesGolden } from '../../../../test/structure/golden.ts';
import { validateFiles } from './directory-source.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

/** Files with one mistake of each sort that only shows when resources are looked at together. */
const FILES = new Map([
  [
    'services.yaml',
    `apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: shop, labels: { istio.io/use-waypoint: waypont } }
spec:
  clusterIP: 10.96.0.1
  selector: { app: reviews }
  ports: [{ name: http, port: 80 }, { name: admin, port: 9090 }]
---
apiVersion: v1
kind: Service
metadata: { name: ratings, namespace: shop }
spec: { clusterIP: 10.96.0.1, selector: { app: ratings }, ports: [{ port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: shop }
spec:
  gatewayClassName: weft-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: other, labels: { istio.io/use-waypoint: waypoint, istio.io/use-waypoint-namespace: shop } }
spec: { selector: { app: cart }, ports: [{ port: 80 }] }
`,
  ],
  [
    'routes.yaml',
    `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: reviews, port: 8080 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ratings, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: ratings }]
  rules:
  - filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }]
  - backendRefs: [{ name: reviews, port: 80, weight: 80 }, { name: rating, port: 80, weight: 20 }]
`,
  ],
  [
    'policies.yaml',
    `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: by-method, namespace: shop }
spec: { selector: { matchLabels: { app: reviews } }, rules: [{ to: [{ operation: { methods: [GET] } }] }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-path, namespace: shop }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/admin] } }] }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: token, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: rating }]
  rules: [{ from: [{ source: { requestPrincipals: ["*"] } }] }]
`,
  ],
]);

test('what only shows across resources is found at its line, with what happens and a remedy', () =>
  matchesGolden(join(import.meta.dirname, 'golden/findings.txt'), `${formatFindings(validateFiles(FILES, parser, MESH))}\n`));

test('a waypoint that no instance runs yet is no mistake of its author', () => {
  const gateway = (FILES.get('services.yaml') ?? '').split('---\n')[2] ?? '';
  const bound =
    'apiVersion: v1\nkind: Service\nmetadata: { name: a, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }\n';
  const text = `${gateway}---\n${bound}spec: { selector: { app: a }, ports: [{ port: 80 }] }\n`;
  assert.deepEqual(validateFiles(new Map([['a.yaml', text]]), parser, MESH), []);
});
