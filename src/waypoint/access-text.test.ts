import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { lineFormat } from '#model/telemetry/line-format.ts';
import { curl, startApp } from '#waypoint/clients.testing.ts';
import { CART, type RigOptions, rule, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

/** A waypoint whose log is text by `format`, an app behind it, and the lines so far. */
async function textRig(t: TestContext, format: string, options: RigOptions = {}) {
  const texts: string[] = [];
  const accessText = { ...lineFormat(format), write: (line: string) => void texts.push(line) };
  const rig = await startRig({ ...options, effects: { accessText } });
  t.after(() => rig.close());
  const app = await startApp(t, (_heard, response) => response.setHeader('x-from', 'app').end('ok'));
  rig.endpoints([app.port]);
  return { rig, app, texts };
}

test('W70: a request has one line in the format of Istio, and one that goes nowhere says why', async (t) => {
  const { rig, app, texts } = await textRig(t, 'istio', { routes: [rule({}, [to('cart')], { name: 'all' })] });
  await curl(rig.port, '/p?q=1', '-A', 'me', '-H', 'host: cart', '-H', 'x-envoy-original-path: /forged');
  rig.endpoints([]);
  await curl(rig.port, '/', '-A', 'me', '-H', 'host: cart');
  await until(() => texts.length === 2);
  const [served = '', unserved = ''] = texts;
  const id = '00000000-0000-4000-8000-0000000000';
  const ends = `"-" "me" "${id}01" "cart" "127.0.0.1:${app.port}" inbound-vip|80|http|cart.shop.svc.cluster.local - 10.96.0.10:80`;
  assert.match(
    served,
    /^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "GET \/p\?q=1 HTTP\/1\.1" 200 - via_upstream - "-" 0 2 \d+ \d+ /,
  );
  assert.ok(served.includes(` ${ends} 10.0.0.7:`), served);
  assert.match(served, / - [\w/.-]*all$/);
  assert.match(unserved, /\] "GET \/ HTTP\/1\.1" 503 UH no_healthy_upstream - "-" 0 \d+ \d+ - "-" "me" /);
});

test('W70: a line shows headers as they went, and what the endpoint and the waypoint said of the answer', async (t) => {
  const edits = { rewrite: { hostname: 'other', path: { kind: 'full', value: '/new' } } } as const;
  const { rig, app, texts } = await textRig(
    t,
    '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:PATH)% %REQ(:AUTHORITY)% %RESP(X-FROM)% %RESP(SERVER)% %RESP(:STATUS)% %RESP(CONTENT-LENGTH)% %UPSTREAM_REQUEST_ATTEMPT_COUNT%',
    { routes: [rule({}, [to('cart')], edits)] },
  );
  await curl(rig.port, '/old?q=1');
  await until(() => texts.length === 1);
  assert.equal(app.heard[0]?.url, '/new?q=1');
  assert.deepEqual(texts, ['/old?q=1 /new?q=1 other app weft 200 2 1']);
});

test('W70: what a client writes stays within its column', async (t) => {
  const { rig, texts } = await textRig(t, '"%REQ(USER-AGENT)%" %REQ(X-NONE)%');
  await curl(rig.port, '/', '-A', 'a" 200 -\u0085"');
  await until(() => texts.length === 1);
  assert.match(texts[0] ?? '', /^"a\\x22 200 -Â\\x85\\x22" -$/);
});

test('W70: an endpoint that cannot be reached is told with why', async (t) => {
  const { rig, texts } = await textRig(t, '%RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%');
  rig.endpoints([1]);
  await curl(rig.port, '/');
  await until(() => texts.length === 1);
  assert.match(texts[0] ?? '', /^UF(,URX)? \S*ECONNREFUSED\S*$/);
});

test('W70: a connection without requests has its line, too; a Telemetry that wants none of either has none', async (t) => {
  const { rig, texts } = await textRig(t, '%PROTOCOL% %RESPONSE_CODE% %BYTES_SENT% %UPSTREAM_CLUSTER%', { appProtocol: 'tcp' });
  await curl(rig.port, '/');
  await until(() => texts.length === 1);
  assert.match(texts[0] ?? '', /^- 0 [1-9]\d* inbound-vip\|80\|tcp\|cart\.shop\.svc\.cluster\.local$/);
  const services = [{ key: CART, routes: [], policies: [], telemetry: { accessLog: false } as const }];
  rig.waypoint.configure({ ...rig.config, services });
  await curl(rig.port, '/');
  const { counters } = rig.waypoint.counts;
  await until(() => counters.tcpConnections === 2 && counters.openConnections === 0);
  assert.equal(texts.length, 1);
  assert.deepEqual(rig.lines, [], 'and none has fields');
});

test('W70: a filter of a Telemetry decides of lines in text as well', async (t) => {
  const services = [{ key: CART, routes: [], policies: [], telemetry: { accessLog: { filter: 'response.code >= 400' } } }];
  const { rig, texts } = await textRig(t, '%RESPONSE_CODE%', { config: { services } });
  await curl(rig.port, '/');
  rig.endpoints([]);
  await curl(rig.port, '/');
  await until(() => texts.length === 1);
  assert.deepEqual(texts, ['503']);
});
