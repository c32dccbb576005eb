import assert from 'node:assert/strict';
import { rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { create } from '@bufbuild/protobuf';
import type { Log } from '#model/effects/log.ts';
import { callMetadata, openClient } from '#platform/grpc/control-channel.ts';
import { relayToControl } from '#platform/grpc/control-relay.ts';
import { DELTA_STREAM } from '#platform/grpc/service-definitions.ts';
import { DeltaDiscoveryRequestSchema, type DeltaDiscoveryResponse } from '#proto/discovery_pb.js';
import { ADDRESS_TYPE } from '#protocol/xds/type-urls.ts';
import type { StartControlOptions } from './control-process.ts';
import {
  AGENT_ID,
  DENY,
  endpointOf,
  eventually,
  follower,
  POD_UID,
  place,
  portOf,
  SERVICE_KEY,
  SHOP,
  started,
} from './control-rig.testing.ts';

test('an agent learns the mesh, and a changed file reaches it', async (t) => {
  const where = await place(t);
  const agent = follower(t, await endpointOf(await started(where), 'node-1'));
  await agent.client.synced;
  await agent.until(() => agent.workloads.size === 1);
  assert.deepEqual([...agent.workloads.keys(), ...agent.services.keys()], [POD_UID, SERVICE_KEY]);
  assert.deepEqual(agent.workloads.get(POD_UID)?.services.get(SERVICE_KEY), [{ servicePort: 80, targetPort: 8080 }]);
  assert.deepEqual([agent.client.status().connected, agent.client.status().error], [true, null]);

  await writeFile(join(where.configDir, 'deny.yaml'), DENY);
  await agent.until(() => agent.workloads.get(POD_UID)?.authorizationPolicies.length === 1);
  assert.ok(agent.policies.has('shop/deny-reviews'));
  await unlink(join(where.configDir, 'deny.yaml'));
  await agent.until(() => agent.policies.size === 0);
  assert.deepEqual(agent.workloads.get(POD_UID)?.authorizationPolicies, []);
});

test('C15, B63: after a restart the client reconnects, gets only what differs, and holds nothing that is gone', async (t) => {
  const where = await place(t);
  const first = await started(where);
  const endpoint = await endpointOf(first, 'node-1');
  const agent = follower(t, endpoint);
  await agent.client.synced;
  await agent.until(() => agent.workloads.size === 1);
  await first.stop({ waypoints: false });
  await eventually(() => !agent.client.status().connected);
  assert.match(agent.client.status().error ?? '', /control plane at 127\.0\.0\.1/);

  await writeFile(join(where.configDir, 'shop.yaml'), SHOP.replace('ratings-1', 'ratings-2'));
  const before = agent.deltas.length;
  await started(where, { listen: { host: '127.0.0.1', port: portOf(first) } });
  await agent.until(() => agent.workloads.has('Kubernetes//Pod/shop/ratings-2'));
  assert.deepEqual([...agent.workloads.keys()], ['Kubernetes//Pod/shop/ratings-2']);
  const after = agent.deltas.slice(before).flatMap((delta) => [...delta.workloads.keys(), ...delta.services.keys()]);
  assert.deepEqual(after.sort(), [POD_UID, 'Kubernetes//Pod/shop/ratings-2'].sort());
  assert.equal(agent.connects(), 2);
});

/** A log that notes its sentences. */
function noting(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const note = (_fields: object, sentence: string): void => void lines.push(sentence);
  const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
  return { log, lines };
}

test('what was in force is kept on the disk, and served by the next control plane if the files are what they were', async (t) => {
  const where = await place(t);
  const starts: string[][] = [];
  for (const change of [null, null, 'file', 'disk'] as const) {
    if (change === 'file') await writeFile(join(where.configDir, 'deny.yaml'), DENY);
    if (change === 'disk') await writeFile(join(where.stateDir, 'kept/list'), 'not a list');
    const { log, lines } = noting();
    const control = await started(where, { log, keepStateFrom: 0 });
    const agent = follower(t, await endpointOf(control, 'node-1'));
    await agent.client.synced;
    await agent.until(() => agent.workloads.size === 1);
    assert.equal(agent.policies.size, change === null ? 0 : 1);
    starts.push(lines.filter((line) => /kept|before the restart/.test(line)));
    if (change === 'disk') assert.match(control.status().outOfDate.join(), /kept for a quick start is damaged/);
    agent.client.stop();
    await control.stop({ waypoints: false });
  }
  const damaged = 'what was kept for a quick start is damaged: everything is read and derived anew';
  assert.deepEqual(starts, [[], ['what was in force before the restart is served'], [], [damaged]]);
});

const refusals = [
  { name: 'without a token', token: '', says: /token for the control plane is empty/ },
  { name: 'with a wrong token', token: 'x.y.z', says: /UNAUTHENTICATED: authentication failed/ },
];
for (const { name, token, says } of refusals) {
  test(`C13: a client ${name} is refused and keeps trying`, async (t) => {
    const endpoint = { ...(await endpointOf(await started(await place(t)), 'node-1')), token: async () => token };
    const { client } = follower(t, endpoint);
    await eventually(() => says.test(client.status().error ?? ''));
    assert.equal(client.status().connected, false);
  });
}

test('C13: node metadata of another namespace or node than the token is PERMISSION_DENIED', async (t) => {
  const endpoint = await endpointOf(await started(await place(t)), 'node-1');
  const claims: Record<string, string>[] = [{ NAMESPACE: 'shop' }, { NODE_NAME: 'node-9' }];
  for (const metadata of claims) {
    const { client } = follower(t, endpoint, { metadata });
    await eventually(() => /PERMISSION_DENIED/.test(client.status().error ?? ''));
  }
});

test('a client that trusts another root, or dials a name the server does not have, never sends its token', async (t) => {
  const control = await started(await place(t));
  const foreign = await started(await place(t));
  const endpoint = await endpointOf(control, 'node-1');
  for (const changes of [{ rootsPem: async () => foreign.rootsPem }, { serverName: 'other.example' }]) {
    const { client } = follower(t, { ...endpoint, ...changes });
    await eventually(() => /UNAVAILABLE/.test(client.status().error ?? ''));
  }
  assert.deepEqual(control.status().connections, []);
});

test('the server is known by the names it was given and by that of a stock installation', async (t) => {
  const control = await started(await place(t), { serverNames: ['mesh.example'] });
  const endpoint = await endpointOf(control, 'node-1');
  for (const serverName of ['mesh.example', 'istiod.istio-system.svc', 'localhost']) {
    await follower(t, { ...endpoint, serverName }).client.synced;
  }
});

test('a client that only a path leads to reaches the server through it', async (t) => {
  const where = await place(t);
  const control = await started(where);
  const path = join(where.configDir, 'discovery.sock');
  t.after(await relayToControl(path, control.address));
  await follower(t, { ...(await endpointOf(control, 'node-1')), address: `unix:${path}` }).client.synced;
});

test('C14: a first request of more than 10 MiB is accepted', async (t) => {
  const endpoint = await endpointOf(await started(await place(t)), 'node-1');
  const client = await openClient(endpoint);
  t.after(() => client.close());
  const stream = client.makeBidiStreamRequest(
    DELTA_STREAM.path,
    DELTA_STREAM.request.write,
    DELTA_STREAM.response.read,
    await callMetadata(endpoint),
  );
  const claimed = Array.from({ length: 120_000 }, (_, at) => [
    `Kubernetes//Pod/some-namespace/some-deployment-name-with-a-hash-${at}`,
    'f00dfeedf00dfeed',
  ]);
  const first = create(DeltaDiscoveryRequestSchema, {
    node: { id: AGENT_ID, metadata: { NAMESPACE: 'istio-system' } },
    typeUrl: ADDRESS_TYPE,
    initialResourceVersions: Object.fromEntries(claimed),
  });
  assert.ok(DELTA_STREAM.request.write(first).length > 10 * 1024 * 1024);
  stream.on('error', () => {});
  // The answer comes in parts.
  const told = { resources: 0, removed: 0 };
  await new Promise<void>((resolve) => {
    stream.on('data', (response: DeltaDiscoveryResponse) => {
      told.resources += response.resources.length;
      told.removed += response.removedResources.length;
      stream.write(create(DeltaDiscoveryRequestSchema, { typeUrl: ADDRESS_TYPE, responseNonce: response.nonce }));
      if (told.resources >= 2 && told.removed >= claimed.length) resolve();
    });
    stream.write(first);
  });
  stream.cancel();
  assert.deepEqual(told, { resources: 2, removed: claimed.length });
});

test('a broken file is reported with its place, and the good ones apply', async (t) => {
  const where = await place(t);
  const control = await started(where);
  const agent = follower(t, await endpointOf(control, 'node-1'));
  await agent.until(() => agent.workloads.size === 1);
  await writeFile(
    join(where.configDir, 'broken.yaml'),
    `${DENY}---\napiVersion: v1\nkind: Service\nmetadata: { name: x, namespace: shop }\nspec: { ports: [{ port: 99999 }] }\n`,
  );
  await agent.until(() => agent.policies.size === 1);
  // Beside it, the policy in force is told to name an account that nobody runs as.
  const finding = control.status().findings.find(({ code }) => code !== 'WEFT_MATCHES_NOTHING');
  assert.deepEqual([finding?.severity, finding?.resource], ['error', 'Service shop/x']);
  const origin = finding?.origin;
  assert.ok(origin?.kind === 'file' && origin.file.endsWith('broken.yaml') && origin.line > 9 && finding?.remedy !== '');
});

test('what keeps the control plane from starting is told with code and remedy, and leaves nothing open', async (t) => {
  const where = await place(t);
  const blocked = join(where.configDir, 'shop.yaml');
  const bad: [string, Partial<StartControlOptions>][] = [
    ['WEFT_STATE_DIR', { stateDir: join(blocked, 'state') }],
    ['WEFT_CONFIG_DIRECTORY', { configDir: join(where.configDir, 'missing') }],
    ['WEFT_LISTEN', { listen: { host: '192.0.2.1', port: 1 } }],
  ];
  for (const [code, changes] of bad) {
    await assert.rejects(
      started(where, changes),
      (error: Error & { code?: string; remedy?: string }) => error.code === code && error.remedy !== undefined,
      code,
    );
  }
});

test('H5: while the configuration cannot be read status says so, and again nothing once it can', async (t) => {
  const where = await place(t);
  const control = await started(where);
  const away = `${where.configDir}.away`;
  const until = async (says: RegExp | null): Promise<void> => {
    for (;;) {
      const { outOfDate } = control.status();
      if (says === null ? outOfDate.length === 0 : outOfDate.some((line) => says.test(line))) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  assert.deepEqual(control.status().outOfDate, []);
  await rename(where.configDir, away);
  await until(/configuration directory .* does not exist; what it said before is in force/);
  await rename(away, where.configDir);
  await until(null);
  await writeFile(join(where.configDir, 'deny.YAML'), DENY);
  const told = (): boolean =>
    control
      .status()
      .findings.some(
        ({ code, origin }) => code === 'WEFT_FILE_IGNORED' && origin.kind === 'file' && origin.file.endsWith('deny.YAML'),
      );
  while (!told()) await new Promise((resolve) => setTimeout(resolve, 20));
});
