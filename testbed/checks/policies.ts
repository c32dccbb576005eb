import { SHOP_NAMESPACE } from '#testbed/mesh/shop.ts';

// Resources that checks put into the watched directory for a moment. All concern the echo services.

/** The YAML of a policy that refuses one service account. */
export function denyServiceAccount(name: string, serviceAccount: string): string {
  return policy(name, 'DENY', `from: [{ source: { serviceAccounts: [${serviceAccount}] } }]`);
}

/** The YAML of a policy that lets in whoever has an identity, whichever. */
export function allowAnyIdentity(name: string): string {
  return policy(name, 'ALLOW', 'from: [{ source: { principals: ["*"] } }]');
}

/** The YAML of a rule that refuses whoever has no identity. */
export function strictMutualTls(name: string): string {
  return `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ${name}, namespace: ${SHOP_NAMESPACE} }
spec:
  selector: { matchLabels: { app: echo } }
  mtls: { mode: STRICT }
`;
}

function policy(name: string, action: string, rule: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${SHOP_NAMESPACE} }
spec:
  selector: { matchLabels: { app: echo } }
  action: ${action}
  rules:
    - ${rule}
`;
}
