import assert from 'node:assert/strict';
import http from 'node:http';
import test, { type TestContext } from 'node:test';
import { aService, aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import type { RateLimit } from '#model/waypoint/traffic.ts';
import { startApp } from '#waypoint/clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, startRig } from '#waypoint/waypoint-rig.testing.ts';

const PER_SECOND = 100;
/** Both replicas hear this often in a second, so many requests at a time: three times what is allowed, evenly. */
const [ROUNDS, AT_A_TIME] = [20, 15];

function optionsOf(requests: number): RigOptions {
  const rule = {
    name: 'all',
    match: null,
    key: [],
    requests,
    windowMs: 1_000,
    burst: requests,
    perReplica: false,
    shadow: false,
  };
  const rateLimit: RateLimit = { policy: 'shop/p', responseHeaders: false, rules: [rule] };
  const traffic = [{ rateLimit, fault: null, port: null }];
  return { config: { services: [{ key: CART, routes: [], policies: [], traffic }] } };
}

/** One of two replicas. */
async function aReplica(t: TestContext): Promise<Rig> {
  const rig = await startRig(optionsOf(PER_SECOND));
  t.after(() => rig.close());
  const app = await startApp(t);
  rig.endpoints([app.port]);
  const own = aService('waypoint', ['10.96.9.9'], { ports: [{ servicePort: 15_008, targetPort: 15_008, appProtocol: 'tcp' }] });
  const services = new Map([[serviceKeyOf(own), [{ servicePort: 15_008, targetPort: 15_008 }]]]);
  const members = ['10.0.9.1', '10.0.9.2'].map((ip, at) => aWorkload(`way-${at}`, [ip], { services }));
  rig.waypoint.meshChanged(rig.mesh.apply(deltaOf(members, [own])));
  return rig;
}

/** The statuses of so many requests, over connections that are kept. */
async function ask({ port }: Rig, agent: http.Agent, count: number): Promise<number> {
  const one = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const request = http.get({ port, host: '127.0.0.1', agent }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
      });
      request.on('error', reject);
    });
  const statuses = await Promise.all(Array.from({ length: count }, one));
  return statuses.filter((status) => status === 200).length;
}

test('W58 of 100 a second two replicas let 95 to 105 pass between them, and a change of the limit hands out no full buckets', async (t) => {
  const rigs = [await aReplica(t), await aReplica(t)];
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_A_TIME });
  t.after(() => agent.destroy());
  /** How many of the requests of one second pass. */
  const second = async (): Promise<number> => {
    let passed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (const rig of rigs) rig.clock.advance(1_000 / ROUNDS);
      for (const rig of rigs) passed += await ask(rig, agent, AT_A_TIME);
    }
    return passed;
  };
  await second(); // with it goes what the buckets held
  const steady = [await second(), await second(), await second()];
  t.diagnostic(`passed in each second: ${steady.join(', ')}`);
  assert.ok(
    steady.every((passed) => passed >= 95 && passed <= 105),
    steady.join(),
  );
  for (const rig of rigs) rig.waypoint.configure(configOf(optionsOf(2 * PER_SECOND)));
  const atOnce = await ask(rigs[0] as Rig, agent, AT_A_TIME);
  assert.ok(atOnce <= 2, `${atOnce} passed at once: the bucket was full again`);
  const doubled = await second();
  assert.ok(doubled >= 190 && doubled <= 210, String(doubled));
});
