import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { OutlierDetection, ServiceDestination } from '#model/waypoint/destination-settings.ts';
import { curl, deadPort, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { ask2, http2Client, startHttp2App } from '#waypoint/http2-clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, rule, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

const DETECTION: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 0,
  consecutiveLocalFailures: null,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectionPercent: 100,
  minHealthPercent: 0,
};

function optionsOf(
  change: Partial<OutlierDetection>,
  more: RigOptions = {},
  others: Partial<ServiceDestination> = {},
): RigOptions {
  const outlierDetection = { ...DETECTION, ...change };
  const destinations = [{ service: CART, port: null, subset: null, outlierDetection, ...others }];
  return { ...more, config: { services: configOf(more).services.map((service) => ({ ...service, destinations })) } };
}

/** Endpoints that answer with these statuses, and how often each was asked. */
async function endpoints(
  t: TestContext,
  rig: Rig,
  statuses: (number | 'dead')[],
): Promise<{ asked: number[]; statuses: (number | 'dead')[] }> {
  const asked = statuses.map(() => 0);
  const ports: number[] = [];
  for (const [at, status] of statuses.entries()) {
    const app =
      status === 'dead'
        ? { port: await deadPort() }
        : await startApp(t, (_heard, response) => {
            asked[at] = (asked[at] ?? 0) + 1;
            response.writeHead(Number(statuses[at])).end();
          });
    ports.push(app.port);
  }
  rig.endpoints(ports);
  return { asked, statuses };
}

/** Draws each endpoint in turn. */
function inTurn(count: number): () => number {
  let drawn = 0;
  // Least request draws twice.
  return () => (Math.floor(drawn++ / 2) % count) / count + 0.001;
}

const ask = async (rig: Rig, count: number): Promise<number[]> => {
  const seen: number[] = [];
  for (let request = 0; request < count; request++) seen.push((await curl(rig.port, '/')).status);
  return seen;
};
const ejected = (rig: Rig): number => rig.lines.filter(({ message }) => message === 'left out an endpoint that fails').length;

test('W55 after failures in a row an endpoint gets nothing for 30 s, then for 60 s; the detector starts anew with it', async (t) => {
  const rig = await startRig(optionsOf({}, { random: inTurn(2) }));
  t.after(() => rig.close());
  const { asked, statuses } = await endpoints(t, rig, [200, 500]);
  assert.equal((await ask(rig, 6)).filter((status) => status === 500).length, 3);
  assert.deepEqual(await ask(rig, 6), [200, 200, 200, 200, 200, 200]);
  assert.deepEqual(asked, [9, 3]);
  assert.deepEqual([ejected(rig), rig.lines.find(({ detector }) => detector === 'consecutive_5xx')?.for_ms], [1, 30_000]);
  rig.clock.advance(29_000);
  assert.deepEqual(await ask(rig, 2), [200, 200]);
  rig.clock.advance(1_000);
  assert.equal((await ask(rig, 6)).filter((status) => status === 500).length, 3);
  assert.equal(rig.lines.findLast(({ detector }) => detector === 'consecutive_5xx')?.for_ms, 60_000);
  rig.clock.advance(59_000);
  assert.deepEqual(await ask(rig, 2), [200, 200]);
  statuses[1] = 200;
  rig.clock.advance(20_000);
  assert.deepEqual(await ask(rig, 4), [200, 200, 200, 200]);
  assert.equal(asked[1], 8);
});

test('W55 a change of the configuration does not bring an endpoint back, nor forget how often it has failed', async (t) => {
  const rig = await startRig(optionsOf({}, { random: inTurn(2) }));
  t.after(() => rig.close());
  const { asked } = await endpoints(t, rig, [200, 500]);
  await ask(rig, 4);
  rig.waypoint.configure(configOf(optionsOf({ maxEjectionMs: 400_000 })));
  await ask(rig, 2);
  rig.waypoint.configure(configOf(optionsOf({ maxEjectionMs: 500_000 })));
  assert.deepEqual(await ask(rig, 4), [200, 200, 200, 200]);
  assert.equal(asked[1], 3);
  // Without detection all of them serve, and what was seen is forgotten.
  rig.waypoint.configure(configOf(optionsOf({}, {}, { outlierDetection: undefined as never })));
  assert.equal((await ask(rig, 2)).filter((status) => status === 500).length, 1);
});

test('W56 as many are left out as may be, and what could not be is counted', async (t) => {
  const rig = await startRig(optionsOf({ consecutive5xx: 1, maxEjectionPercent: 10 }, { random: inTurn(3) }));
  t.after(() => rig.close());
  await endpoints(t, rig, [200, 500, 500]);
  await ask(rig, 3);
  const failed = (await ask(rig, 6)).filter((status) => status === 500).length;
  assert.ok(failed > 0, 'the second one serves');
  assert.equal(ejected(rig), 1);
  assert.equal(rig.waypoint.meters.total('weft_outlier_ejections_total'), 1 + 1 + failed);
});

test('with all of them left out nobody is there: 503, UH; with minHealthPercent all of them serve', async (t) => {
  for (const [minHealthPercent, status] of [
    [0, 503],
    [50, 500],
  ] as const) {
    const rig = await startRig(optionsOf({ consecutive5xx: 1, minHealthPercent }, { random: inTurn(2) }));
    t.after(() => rig.close());
    await endpoints(t, rig, [500, 500]);
    await ask(rig, 2);
    assert.deepEqual(await ask(rig, 1), [status]);
    assert.equal(rig.lines.findLast(({ message }) => message === 'request')?.response_flags, status === 503 ? 'UH' : '-');
  }
});

test('what cannot be reached is left out like what fails, and with what was tried elsewhere nobody notices', async (t) => {
  const rig = await startRig(optionsOf({}, { random: inTurn(2) }));
  t.after(() => rig.close());
  await endpoints(t, rig, [200, 'dead']);
  assert.deepEqual(await ask(rig, 12), Array(12).fill(200));
  assert.equal(rig.dials.filter(({ uid }) => uid.endsWith('cart-1')).length, 3);
  assert.equal(ejected(rig), 1);
});

test('a try that takes too long, and a route whose time is over, are failures', async (t) => {
  for (const change of [{ backendTimeoutMs: 500 }, { requestTimeoutMs: 500 }]) {
    const rig = await startRig(
      optionsOf({ consecutive5xx: 0, consecutiveGatewayErrors: 1 }, { routes: [rule({}, [to('cart')], change)] }),
    );
    t.after(() => rig.close());
    const app = await startApp(t, () => {});
    rig.endpoints([app.port]);
    const asked = curl(rig.port, '/', '-X', 'POST');
    await until(() => app.heard.length === 1);
    rig.clock.advance(500);
    assert.equal((await asked).status, 504);
    assert.deepEqual(await ask(rig, 1), [503]);
    assert.equal(ejected(rig), 1);
  }
});

test('a fault of our own, a request that is refused for its number, and an idle connection that ended are no failures', async (t) => {
  const fault = { policy: 'shop/p', match: null, delay: null, abort: { status: 500, grpcStatus: null, percentage: 100 } };
  const broken = rule({ path: { type: 'exact', value: '/broken' } }, [to('cart')], { traffic: { rateLimit: null, fault } });
  const rig = await startRig(optionsOf({ consecutive5xx: 1 }, { routes: [broken, rule({}, [to('cart')])] }));
  t.after(() => rig.close());
  let answers = 0;
  // Each connection carries one request, and ends with the next.
  const port = await startRawApp(t, (socket) => {
    let requests = 0;
    socket.on('data', () => {
      if (++requests > 1) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok', () => answers++);
    });
  });
  rig.endpoints([port]);
  assert.equal((await curl(rig.port, '/broken')).status, 500);
  assert.deepEqual(await ask(rig, 4), [200, 200, 200, 200]);
  assert.equal(answers, 4);
  assert.equal(rig.waypoint.meters.total('weft_outlier_ejections_total'), 0);
});

test('W57 a gRPC status in the head of an answer is a failure, one that comes last is none', async (t) => {
  const rig = await startRig(optionsOf({ consecutive5xx: 1 }, { appProtocol: 'http2' }));
  t.after(() => rig.close());
  let first = false;
  const app = await startHttp2App(t, (stream) => {
    const head = { ':status': 200, 'content-type': 'application/grpc' };
    if (first) stream.respond({ ...head, 'grpc-status': '13' }, { endStream: true });
    else {
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '13' }));
      stream.respond(head, { waitForTrailers: true });
      stream.end('x');
    }
  });
  rig.endpoints([app.port]);
  const client = http2Client(t, rig.port);
  const call = () => ask2(client, { ':path': '/a.B/C', ':method': 'POST', 'content-type': 'application/grpc' }, 'x');
  assert.equal((await call()).trailers?.['grpc-status'], '13');
  first = true;
  assert.equal((await call()).headers['grpc-status'], '13');
  assert.equal((await call()).headers['grpc-status'], '14');
  assert.equal(ejected(rig), 1);
});

test('a session does not lead to an endpoint that is left out', async (t) => {
  const session = { carrier: 'header', name: 'x-session', absoluteTimeoutMs: null, permanent: false } as const;
  const rig = await startRig(
    optionsOf({ consecutive5xx: 1 }, { routes: [rule({}, [to('cart')], { session })], random: inTurn(2) }),
  );
  t.after(() => rig.close());
  const { asked, statuses } = await endpoints(t, rig, [200, 200]);
  const begun = await curl(rig.port, '/');
  const token = /x-session: (\S+)/.exec(begun.headers)?.[1] ?? '';
  const at = asked.indexOf(1);
  statuses[at] = 500;
  assert.equal((await curl(rig.port, '/', '-H', `x-session: ${token}`)).status, 500);
  assert.equal((await curl(rig.port, '/', '-H', `x-session: ${token}`)).status, 200);
});
