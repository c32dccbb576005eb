/** What the attacks on waypoints share: a waypoint, a service behind it, and a server that tells which path it was asked for. */

/** A Gateway `waypoint` of the namespace, for services. */
export const GATEWAY_YAML = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: waypoint, namespace: attacks, labels: { istio.io/waypoint-for: service } }
spec:
  gatewayClassName: weft-waypoint
  listeners: [{ name: mesh, port: 15008, protocol: HBONE }]
`;

/** How a service of HTTP on the workloads with label app=web differs from the others. */
export type WebService = { name: string; vip: string | null; bound: boolean };

/** A service over the workloads of \`web\`; \`vip\` null: headless. */
export function webServiceYaml({ name, vip, bound }: WebService): string {
  const labels = bound ? 'istio.io/use-waypoint: waypoint' : '';
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: attacks, labels: { ${labels} } }
spec:
  clusterIP: ${vip ?? 'None'}
  selector: { app: web }
  ports: [{ name: http, port: 80, targetPort: 7000 }]
`;
}

/** A policy \`name\` whose spec is given. */
export function policySpecYaml(name: string, spec: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: attacks }
spec: { ${spec} }
`;
}

/** An HTTP server on port 7000 whose answer is the target it was asked for, as it came. */
export const WEB_PROGRAM = [
  process.execPath,
  '-e',
  `require('node:http').createServer((request, response) => response.end(request.url)).listen(7000, '::', () =>
    console.log(JSON.stringify({ event: 'listening', pid: process.pid })))`,
];
