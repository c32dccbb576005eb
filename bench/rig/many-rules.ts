import { manyPaths } from '../load/many.ts';

/** The Gateway API has room for so many in one route. */
const RULES_PER_ROUTE = 10;

/** Routes and DENY policies of a service, a hundred rules of each. */
export function manyRulesYaml(namespace: string, service: string): string {
  return `${manyRoutesYaml(namespace, service)}---\n${manyPoliciesYaml(namespace, service)}`;
}

/** A hundred rules of routes, none of which is about what the load asks for, and a last one for all. */
export function manyRoutesYaml(namespace: string, service: string): string {
  const paths = manyPaths('r');
  const routes = Array.from({ length: paths.length / RULES_PER_ROUTE }, (_, at) =>
    routeYaml(namespace, service, `${service}-${at}`, paths.slice(at * RULES_PER_ROUTE, (at + 1) * RULES_PER_ROUTE)),
  );
  return [...routes, routeYaml(namespace, service, `${service}-rest`, ['/'])].join('---\n');
}

/** A hundred DENY policies, none of which is about what the load asks for. */
export function manyPoliciesYaml(namespace: string, service: string): string {
  return manyPaths('denied')
    .map((path, at) => policyYaml(namespace, service, `${service}-${at}`, path))
    .join('---\n');
}

function routeYaml(namespace: string, service: string, name: string, paths: readonly string[]): string {
  const rules = paths.map(
    (path) => `  - matches: [{ path: { type: PathPrefix, value: ${path} } }]
    backendRefs: [{ name: ${service}, port: 80 }]
`,
  );
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  parentRefs: [{ group: "", kind: Service, name: ${service} }]
  rules:
${rules.join('')}`;
}

function policyYaml(namespace: string, service: string, name: string, path: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  targetRefs: [{ group: "", kind: Service, name: ${service} }]
  action: DENY
  rules: [{ to: [{ operation: { paths: ["${path}*"] } }] }]
`;
}
