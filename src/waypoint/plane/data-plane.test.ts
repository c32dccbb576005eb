import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { createMishaps } from '#model/effects/mishaps.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import { aService, aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { Meters } from '#model/telemetry/meters.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { ToControl } from '#waypoint/seam/messages.ts';
import { ToldConfiguration } from '#waypoint/seam/parts.ts';
import { CART, configOf, settle, VIP } from '#waypoint/waypoint-rig.testing.ts';
import { DataPlane, type PlaneEffects } from './data-plane.ts';

const FRONT = parseIdentity('spiffe://cluster.local/ns/shop/sa/front');

/** One of three that serve; its sockets are numbers. */
function aPlane() {
  const said: ToControl[] = [];
  const done: string[] = [];
  const accepts = new Map<number, (stream: ByteStream) => void>();
  const server = Promise.withResolvers<void>();
  let given: Parameters<PlaneEffects['createServer']>[0] | null = null;
  const clock = new SteppedClock();
  const mishaps = createMishaps(SILENT_LOG, clock);
  const effects: PlaneEffects = {
    ...{ clock, log: SILENT_LOG, mishaps, meters: new Meters('waypoint'), random: Math.random },
    newUuid: () => '',
    shownVariable: () => null,
    jwtKeys: () => null,
    randomBytes: (count) => new Uint8Array(count),
    dialDirect: () => assert.fail('nothing is dialled'),
    originate: () => assert.fail('no TLS'),
    relay: () => assert.fail('nothing is relayed'),
    http2: { accept: () => assert.fail('no HTTP/2'), connect: () => assert.fail('no HTTP/2') },
    credentials: () => new Promise(() => {}),
    attest: () => ({ identity: FRONT, dialled: { ip: VIP as never, port: 80 } }),
    listen(fd, accept) {
      accepts.set(fd, accept);
      return { close: () => void done.push(`close ${fd}`) };
    },
    createPool: () => ({ open: () => assert.fail('no tunnel'), size: () => 0, close: () => void done.push('close pool') }),
    createServer(options) {
      given = options;
      return {
        handle: () => void done.push('tunnel'),
        async drain() {
          done.push('drain');
          await server.promise;
        },
        close: () => void done.push('close server'),
      };
    },
  };
  const plane = new DataPlane(
    {
      ...{ namespace: 'shop', gateway: 'waypoint', serviceAccount: 'waypoint', node: 'one' },
      ...{ threads: 3, tellsProblems: true, tracedPercent: null, accessLogFormat: null },
    },
    effects,
    { send: (message) => void said.push(message) },
  );
  /** A connection of this node; what became of it is whether it was reset. */
  const arrive = (fd: number): { isReset: boolean } => {
    const fate = { isReset: false };
    const end = { ip: VIP, port: 1 };
    const stream = {
      ...{ remote: end, local: { ip: VIP, port: 2 }, isOver: false, onOver() {}, read() {} },
      ...{ resume() {}, pause() {}, start() {} },
      reset() {
        fate.isReset = true;
      },
    };
    // What is not called by whoever accepts is not there.
    accepts.get(fd)?.(stream as unknown as ByteStream);
    return fate;
  };
  /** Whether one that arrives stays out when the time is over in which what it wants could have come. */
  const isRefused = async (fd: number): Promise<boolean> => {
    const fate = arrive(fd);
    clock.advance(WAYPOINT.comingMs);
    await settle();
    return fate.isReset;
  };
  return { plane, said, done, accepts, server, arrive, isRefused, mishaps, options: () => given };
}

const SERVED = deltaOf(
  [aWorkload('cart-0', ['10.0.0.2'], { services: new Map([[CART, [{ servicePort: 80, targetPort: 80 }]]]) })],
  [
    aService('cart', [VIP], {
      ports: [{ servicePort: 80, targetPort: 0, appProtocol: 'http11' }],
      waypoint: { kind: 'hostname', namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local', hbonePort: 15_008 },
    }),
  ],
);

/** Tells it a configuration as control does. */
function configure({ plane }: ReturnType<typeof aPlane>, config: WaypointConfig | null): void {
  for (const message of new ToldConfiguration().tell(config)) plane.receive(message);
}

const refused = ({ plane }: ReturnType<typeof aPlane>): number => plane.counts.counters.connectionsRefused;

test('it serves by the configuration and the mesh that it was told, and says when it has them', async () => {
  const one = aPlane();
  configure(one, null);
  one.plane.receive({ kind: 'mesh', delta: SERVED });
  assert.equal(one.options(), null, 'there is nothing to serve yet');
  configure(one, configOf({}));
  one.plane.receive({ kind: 'mark', mark: 5 });
  assert.deepEqual(one.said, [{ kind: 'marked', mark: 5 }]);
  assert.deepEqual([one.options()?.trustDomain, one.options()?.threads], ['cluster.local', 3]);
  one.plane.receive({ kind: 'listen', peersFd: 10, localFd: 20 });
  one.arrive(10);
  assert.deepEqual(one.done, ['tunnel']);
  assert.equal(one.arrive(20).isReset, false);
  configure(one, null);
  assert.equal(await one.isRefused(20), true);
  assert.equal(refused(one), 1);
});

test('promise 2: a change that it cannot put in force makes it refuse until the next configuration', async () => {
  const one = aPlane();
  one.plane.receive({ kind: 'mesh', delta: SERVED });
  configure(one, configOf({}));
  one.plane.receive({ kind: 'listen', peersFd: 10, localFd: 20 });
  one.plane.receive({ kind: 'mesh', delta: { ...SERVED, services: null } as unknown as MeshDelta });
  assert.equal(one.mishaps.counts().get('discovery'), 1);
  assert.deepEqual(one.said, [{ kind: 'failed' }]);
  assert.equal(await one.isRefused(20), true);
  one.plane.receive({ kind: 'mesh', delta: SERVED });
  configure(one, configOf({}));
  assert.equal(one.arrive(20).isReset, false);
});

test('promise 2: what was not told whole is not put in force, and nothing else is served in its place', async () => {
  const one = aPlane();
  one.plane.receive({ kind: 'mesh', delta: SERVED });
  configure(one, configOf({}));
  one.plane.receive({ kind: 'listen', peersFd: 10, localFd: 20 });
  const { services, ...base } = configOf({});
  one.plane.receive({ kind: 'base', base: { ...base, trustDomain: 'other' } });
  assert.equal(one.arrive(20).isReset, false, 'nothing is in force before all of it is');
  one.plane.receive({ kind: 'configure', services: services.map(({ key }) => key) });
  assert.deepEqual([one.said, await one.isRefused(20)], [[{ kind: 'failed' }], true]);
});

test('what is open ends in order: no more accepts, then what is under way, which is told, then the rest', async () => {
  const one = aPlane();
  configure(one, configOf({}));
  one.plane.receive({ kind: 'listen', peersFd: 10, localFd: 20 });
  one.plane.receive({ kind: 'retire' });
  assert.deepEqual(one.done, ['close 10', 'close 20']);
  one.plane.receive({ kind: 'drain', withinMs: 1 });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([one.done.slice(2), one.said], [['drain'], []]);
  one.server.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(one.said, [{ kind: 'drained' }]);
  one.plane.receive({ kind: 'end' });
  assert.deepEqual(one.done.slice(3), ['close server', 'close pool']);
});
