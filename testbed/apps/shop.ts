import type { Family, WorkloadSpec } from '#testbed/lab/app.ts';
import type { NodeName } from '#testbed/nodes/plan.ts';
import { shopProgram, testbedProgram } from '#testbed/processes/command-lines.ts';
import type { Dial } from './probe-protocol.ts';

/** The namespace of everything in examples/bookshop/mesh. */
export const SHOP_NAMESPACE = 'bookshop';

/** A workload whose app is the probe. */
export function probeWorkload(name: string, node: NodeName): WorkloadSpec {
  return inShop({ name, node, serviceAccount: name, labels: { app: name }, command: testbedProgram('probe') });
}

/** A workload of the echo service at `place`; every one has the service account `echo`. */
export function echoWorkload(place: string, node: NodeName): WorkloadSpec {
  const name = `echo-${place}`;
  return inShop({ name, node, serviceAccount: 'echo', labels: { app: 'echo', place }, command: shopProgram('echo', name) });
}

function httpWorkload(app: string, node: NodeName, version?: string): WorkloadSpec {
  const name = version === undefined ? app : `${app}-${version}`;
  const args = version === undefined ? [] : [version];
  const labels = { app, version: version ?? 'v1' };
  return inShop({ name, node, serviceAccount: app, labels, command: shopProgram(app, ...args) });
}

function inShop(spec: Omit<WorkloadSpec, 'namespace'>): WorkloadSpec {
  return { ...spec, namespace: SHOP_NAMESPACE };
}

/** The probes that the checks use from the beginning. */
export const PROBE_WORKLOADS = [
  probeWorkload('shopper', 'alpha'),
  probeWorkload('stranger', 'alpha'),
  probeWorkload('clerk', 'beta'),
];

/** The shop. */
export const SHOP_WORKLOADS = [
  httpWorkload('storefront', 'alpha'),
  httpWorkload('details', 'alpha'),
  httpWorkload('reviews', 'alpha', 'v1'),
  httpWorkload('reviews', 'beta', 'v2'),
  httpWorkload('reviews', 'beta', 'v3'),
  httpWorkload('ratings', 'beta'),
  echoWorkload('near', 'alpha'),
  echoWorkload('far', 'beta'),
];

/** The port the echo workloads listen on. */
export const ECHO_PORT = 7000;
/** The port every HTTP service of the shop listens on. */
export const SHOP_HTTP_PORT = 9080;

/** The addresses that examples/bookshop/mesh/00-services.yaml gives the services (a test compares them). */
const VIP_SUFFIX = { storefront: 10, details: 11, ratings: 12, reviews: 20, 'echo-near': 30, 'echo-far': 31 } as const;
/** A service that checks dial. */
export type ServiceName = keyof typeof VIP_SUFFIX;

/** Where a client dials a service of the shop. */
export function vip(service: ServiceName, family: Family): Dial {
  const suffix = VIP_SUFFIX[service];
  return { host: family === 4 ? `10.96.0.${suffix}` : `fd96::${suffix}`, port: service.startsWith('echo') ? 7 : 80 };
}
