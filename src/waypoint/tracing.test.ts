import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { Span } from '#model/telemetry/trace.ts';
import { type App, curl, startApp } from '#waypoint/clients.testing.ts';
import { type RigOptions, rule, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

/** A waypoint that traces `percent` of what is not decided, an app behind it, and the spans of all requests. */
async function traced(t: TestContext, percent: number, options: RigOptions = {}, status = 200) {
  const spans: Span[] = [];
  const tracing = { percent, record: (span: Span) => void spans.push(span) };
  const rig = await startRig({ ...options, effects: { ...options.effects, tracing } });
  t.after(() => rig.close());
  const app: App = await startApp(t, (_, response) => {
    response.statusCode = status;
    response.end('ok');
  });
  rig.endpoints([app.port]);
  return { rig, app, spans };
}

test('W71: the app gets the caller’s trace with a span of ours as its parent; the span is told when the request is over', async (t) => {
  const { rig, app, spans } = await traced(t, 0);
  const state = 'vendor=1';
  await curl(rig.port, '/x?y=1', '-H', `traceparent: 00-${TRACE}-${SPAN}-01`, '-H', `tracestate: ${state}`, '-A', 'me');
  await until(() => spans.length === 1);
  const [{ context, name, startMs, endMs, failed, attributes } = assert.fail()] = spans;
  assert.deepEqual(app.heard[0]?.headers.traceparent, `00-${TRACE}-${context.spanId}-01`);
  assert.equal(app.heard[0]?.headers.tracestate, state);
  assert.deepEqual([context.traceId, context.parentSpanId], [TRACE, SPAN]);
  assert.notEqual(context.spanId, SPAN);
  assert.deepEqual([name, failed, startMs <= endMs], ['cart.shop.svc.cluster.local:80/*', false, true]);
  assert.equal(attributes['http.method'], 'GET');
  assert.match(String(attributes['http.url']), /^http:\/\/127\.0\.0\.1:\d+\/x\?y=1$/);
  assert.deepEqual([attributes['http.status_code'], attributes['user_agent.original']], [200, 'me']);
  assert.equal(attributes['guid:x-request-id'], app.heard[0]?.headers['x-request-id']);
  assert.equal(attributes['source.principal'], 'spiffe://cluster.local/ns/web/sa/front');
});

test('W71: B3 headers go on in the form in which they came', async (t) => {
  const { rig, app, spans } = await traced(t, 0);
  await curl(rig.port, '/', '-H', `b3: ${TRACE}-${SPAN}-1`);
  await curl(rig.port, '/', '-H', `x-b3-traceid: ${TRACE}`, '-H', `x-b3-spanid: ${SPAN}`, '-H', 'x-b3-sampled: 1');
  await until(() => spans.length === 2);
  const [one, several] = app.heard.map(({ headers }) => headers);
  assert.equal(one?.b3, `${TRACE}-${spans[0]?.context.spanId}-1-${SPAN}`);
  assert.deepEqual(
    [several?.['x-b3-traceid'], several?.['x-b3-spanid'], several?.['x-b3-parentspanid'], several?.['x-b3-sampled']],
    [TRACE, spans[1]?.context.spanId, SPAN, '1'],
  );
});

test('W71: a request that its caller does not trace is not told of, and goes on as not traced', async (t) => {
  const { rig, app, spans } = await traced(t, 100);
  await curl(rig.port, '/', '-H', `traceparent: 00-${TRACE}-${SPAN}-00`);
  await curl(rig.port, '/'); // this one is: nobody has decided
  await until(() => spans.length === 1);
  assert.match(String(app.heard[0]?.headers.traceparent), new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
  assert.equal(spans[0]?.context.parentSpanId, '');
  assert.equal(app.heard[1]?.headers.traceparent, `00-${spans[0]?.context.traceId}-${spans[0]?.context.spanId}-01`);
});

test('a span is told of what no app has seen, and says that it failed; so is one of an app that fails', async (t) => {
  const refused = await traced(t, 100, { routes: [rule({}, [to('none')])] });
  await curl(refused.rig.port, '/none');
  await until(() => refused.spans.length === 1);
  assert.deepEqual([refused.spans[0]?.failed, refused.spans[0]?.attributes.response_flags], [true, 'NC']);
  const broken = await traced(t, 100, {}, 500);
  await curl(broken.rig.port, '/');
  await until(() => broken.spans.length === 1);
  assert.deepEqual([broken.spans[0]?.failed, broken.spans[0]?.attributes['http.status_code']], [true, 500]);
});

test('without a collector headers pass as they came, and none is added', async (t) => {
  const rig = await startRig();
  t.after(() => rig.close());
  const app = await startApp(t);
  rig.endpoints([app.port]);
  await curl(rig.port, '/', '-H', `traceparent: 00-${TRACE}-${SPAN}-01`);
  await curl(rig.port, '/');
  assert.deepEqual(
    app.heard.map(({ headers }) => headers.traceparent),
    [`00-${TRACE}-${SPAN}-01`, undefined],
  );
});
