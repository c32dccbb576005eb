// A machine that comes with the token of another one's node, as an agent does; it tells how the control plane answers.
//   node rival.ts ADDRESS ROOT-FILE TOKEN-FILE NODE
import { readFile } from 'node:fs/promises';
import { SILENT_LOG } from '#model/effects/log.ts';
import { createMishaps } from '#model/effects/mishaps.ts';
import { discoveryNodeOf } from '#node-agent/follow-mesh.ts';
import { systemClock } from '#platform/clock.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';

const [address = '', rootFile = '', tokenFile = '', node = ''] = process.argv.slice(2);
const client = new DiscoveryClient({
  endpoint: {
    address,
    rootsPem: () => readFile(rootFile, 'utf8'),
    token: () => readFile(tokenFile, 'utf8'),
    serverName: null,
    clusterId: 'Kubernetes',
  },
  node: discoveryNodeOf(node, 'Kubernetes', 'system:serviceaccount:istio-system:weft-agent'),
  waypoint: null,
  clock: systemClock,
  log: SILENT_LOG,
  mishaps: createMishaps(SILENT_LOG, systemClock),
  onMesh: () => {},
});
client.start();
let told = '';
setInterval(() => {
  const { connected, error } = client.status();
  const now = connected ? 'connected' : (error ?? 'waiting');
  if (now !== told) console.log(now);
  told = now;
}, 50);
