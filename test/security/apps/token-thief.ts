/**
 * Whoever has a node's token: registers workloads, asks for certificates and follows discovery with it, then prints what came
 * of each. Argument: JSON with `control`, `rootFile`, `node`, `token`, `workloads` and `identities` (`<namespace>/<account>`).
 */

import { readFileSync } from 'node:fs';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { messageOf } from '#model/error.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import type { Registration } from '#model/mesh/registration.ts';
import { systemClock } from '#platform/clock.ts';
import { CaClient, RegistryClient } from '#platform/grpc/control-clients.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import { createSigningRequest } from '#protocol/ca/signing-request.ts';

const FOLLOW_MS = 5_000;
const POLL_MS = 20;

const { control, rootFile, node, token, workloads, identities } = JSON.parse(process.argv[2] ?? '{}') as {
  control: string;
  rootFile: string;
  node: string;
  token: string;
  workloads: Partial<Registration>[];
  identities: string[];
};
const endpoint = {
  address: control,
  rootsPem: async () => readFileSync(rootFile, 'utf8'),
  token: async () => token,
  serverName: null,
  clusterId: 'Kubernetes',
};
const loot = {
  refused: [] as object[],
  error: null as string | null,
  certificates: {} as Record<string, string>,
  stream: '' as string | null,
};

const registry = new RegistryClient(endpoint, node);
const defaults = { name: '', namespace: '', serviceAccount: '', labels: {}, addresses: [], enrolled: true, nativeTunnel: false };
try {
  const { refused } = await registry.sync(
    workloads.map((one) => ({ ...defaults, ...one })),
    [],
  );
  loot.refused = [...refused];
} catch (error) {
  loot.error = messageOf(error);
}

const ca = new CaClient(endpoint, { impersonate: true });
for (const account of identities) {
  const [namespace, serviceAccount] = account.split('/');
  const identity = parseIdentity(`spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`);
  const { csrPem } = await createSigningRequest(identity);
  loot.certificates[account] = await ca.fetch({ csrPem, identity, ttlSeconds: 90 * 86_400 }).then(() => 'issued', messageOf);
}

const discovery = new DiscoveryClient({
  endpoint,
  node: {
    id: `ztunnel~10.0.0.1~${node}.istio-system~istio-system.svc.cluster.local`,
    metadata: { NAMESPACE: 'istio-system', NODE_NAME: node },
  },
  waypoint: null,
  clock: systemClock,
  log: SILENT_LOG,
  mishaps: SILENT_MISHAPS,
  onMesh() {},
});
discovery.start();
for (let waitedMs = 0; waitedMs < FOLLOW_MS; waitedMs += POLL_MS) {
  const { connected, error } = discovery.status();
  loot.stream = connected ? null : error;
  if (connected || error !== null) break;
  await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
discovery.stop();
registry.close();
ca.close();
process.stdout.write(JSON.stringify(loot));
