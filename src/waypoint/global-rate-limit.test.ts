import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { CountingRule, GlobalLimit, RateLimit, RateLimitRule } from '#model/waypoint/traffic.ts';
import type { RateLimitRequest } from '#proto/rate_limit_pb.js';
import { type App, curl, deadPort, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { ask2, http2Client } from '#waypoint/http2-clients.testing.ts';
import { counted, type LimitReply, type LimitServer, startLimitServer } from '#waypoint/limit-servers.testing.ts';
import { configOf, type Rig, settle, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

const SERVER = { service: 'shop/limits.shop.svc.cluster.local', port: 80 };
const COUNTING: CountingRule = { name: 'all', match: null, key: [], requests: 10, windowMs: 60_000, shadow: false };

/** A limit whose rules a server counts. */
function limitBy(
  change: Partial<GlobalLimit> = {},
  more: Partial<RateLimit> = {},
  rules: Partial<CountingRule>[] = [{}],
): RateLimit {
  const global = { server: SERVER, timeoutMs: 20, failOpen: false, rules: rules.map((rule) => ({ ...COUNTING, ...rule })) };
  return { policy: 'shop/p', rules: [], responseHeaders: false, ...more, global: { ...global, ...change } };
}

const configWith = (rateLimit: RateLimit) => {
  const config = configOf({});
  return { ...config, services: config.services.map((one) => ({ ...one, traffic: [{ rateLimit, fault: null, port: null }] })) };
};

type Limited = { rig: Rig; app: App; server: LimitServer; limit(rateLimit: RateLimit): void };

/** A waypoint, its app, and a server that counts for it. */
async function limited(
  t: TestContext,
  answer: (request: RateLimitRequest) => LimitReply,
  rateLimit: RateLimit = limitBy(),
  more: Parameters<typeof startLimitServer>[2] = {},
): Promise<Limited> {
  const rig = await startRig({ config: configWith(rateLimit) });
  t.after(() => rig.close());
  const app = await startApp(t, (_, response) => void response.setHeader('x-app', 'app').end('from the app'));
  rig.endpoints([app.port]);
  const server = await startLimitServer(t, answer, more);
  rig.endpoints([server.port], {}, 'limits');
  return { rig, app, server, limit: (said) => rig.waypoint.configure(configWith(said)) };
}

/** The line of the log about the last request. */
const lastRequest = (rig: Rig) => rig.lines.filter(({ message }) => message === 'request').at(-1);
const pathOf = ({ descriptors }: RateLimitRequest) => descriptors[0]?.entries.find(({ key }) => key === 'path')?.value;
const answersOf = (rig: Rig) =>
  (rig.waypoint.meters.collect().find(({ name }) => name === 'weft_rate_limit_answers_total')?.series ?? [])
    .map(({ labels, value }) => `${labels.answer} ${value}`)
    .toSorted();

test('W59 a server is asked about a request, and what it says is done', async (t) => {
  const key = [{ type: 'service-account' }, { type: 'header', name: 'X-User' }, { type: 'path' }] as const;
  const { rig, app, server } = await limited(
    t,
    (request) => {
      const over = pathOf(request) !== '/few';
      const headers = [
        { key: 'X-Told', value: 'by the server' },
        { key: 'content-length', value: '1' },
        { key: 'x-bad', value: 'a\nb' },
      ];
      return {
        ...counted(request, over ? [0] : []),
        responseHeadersToAdd: headers,
        requestHeadersToAdd: [{ key: 'x-upstream', value: 'told' }],
        ...(pathOf(request) === '/body' && { rawBody: Buffer.from('its own words') }),
      };
    },
    limitBy({}, { responseHeaders: true }, [{ key }]),
  );
  const passed = await curl(rig.port, '/few?x=1', '-H', 'x-user: me');
  assert.deepEqual([passed.status, passed.body], [200, 'from the app']);
  assert.match(passed.headers, /x-told: by the server\r/i);
  assert.match(passed.headers, /x-ratelimit-limit: 10, 10;w=60;name="all"\r/);
  assert.match(passed.headers, /x-ratelimit-remaining: 3\r/);
  assert.match(passed.headers, /x-ratelimit-reset: 7\r?/);
  assert.doesNotMatch(passed.headers, /x-bad/i);
  assert.equal(app.heard[0]?.headers['x-upstream'], 'told');
  const { domain, hitsAddend, descriptors } = server.asked[0] ?? assert.fail();
  assert.deepEqual([domain, hitsAddend, descriptors.length], ['weft', 0, 1]);
  assert.deepEqual(
    descriptors[0]?.entries.map((entry) => `${entry.key}=${entry.value}`),
    ['policy=shop/p', 'rule=all', 'source_service_account=web/front', 'header:x-user=me', 'path=/few'],
  );
  assert.deepEqual([descriptors[0]?.limit?.requestsPerUnit, descriptors[0]?.limit?.unit], [10, 2]);

  const refused = await curl(rig.port, '/many');
  assert.deepEqual([refused.status, refused.body], [429, '']);
  assert.match(refused.headers, /retry-after: 7\r/);
  assert.match(refused.headers, /x-envoy-ratelimited: true\r/);
  assert.match(refused.headers, /x-told: by the server/i);
  assert.match(refused.headers, /x-ratelimit-remaining: 0/);
  assert.deepEqual([lastRequest(rig)?.response_flags, lastRequest(rig)?.response_code_details], ['RL', 'request_rate_limited']);
  assert.equal((await curl(rig.port, '/body')).body, 'its own words');
  const client = await http2Client(t, rig.port);
  const grpc = await ask2(client, { ':path': '/a.B/C', ':method': 'POST', 'content-type': 'application/grpc' }, 'x');
  assert.deepEqual([grpc.status, grpc.headers['grpc-status']], [200, '8']);
  assert.equal(app.heard.length, 1);
  assert.deepEqual(answersOf(rig), ['allow 1', 'deny 3']);
  assert.equal(rig.waypoint.meters.total('weft_rate_limited_total'), 3);
});

test('W59 all of its questions go over one connection', async (t) => {
  const { rig, server } = await limited(t, counted);
  for (let round = 0; round < 5; round++)
    await Promise.all(Array.from({ length: 8 }, async () => assert.equal((await curl(rig.port, '/')).status, 200)));
  assert.deepEqual([server.asked.length, server.connections()], [40, 1]);
});

const LOCAL: RateLimitRule = { ...COUNTING, name: 'own', requests: 1, burst: 1, perReplica: false };

test('W59 buckets come first: what they refuse the server is not asked about; who is refused by either is refused', async (t) => {
  const { rig, server } = await limited(
    t,
    (request) => counted(request, pathOf(request) === '/many' ? [0] : []),
    limitBy({}, { rules: [{ ...LOCAL, burst: 2 }], responseHeaders: true }, [{ key: [{ type: 'path' }] }]),
  );
  const many = await curl(rig.port, '/many');
  assert.deepEqual([many.status, /name="all"/.test(many.headers)], [429, true]);
  const few = await curl(rig.port, '/few');
  // Of what both let pass, the bucket has less left.
  assert.deepEqual([few.status, /name="own"/.test(few.headers)], [200, true]);
  assert.deepEqual([(await curl(rig.port, '/few')).body, server.asked.length], ['local_rate_limited', 2]);
});

test('W59 rules that do not match are not asked about; those that are not enforced are counted', async (t) => {
  const posts = { methods: ['POST'], path: null, headers: [], queryParams: [], namespaces: [], serviceAccounts: [] };
  const { rig, server, limit } = await limited(t, (request) => counted(request, [0]), limitBy({}, {}, [{ match: posts }]));
  assert.deepEqual([(await curl(rig.port, '/')).status, server.asked.length], [200, 0]);
  assert.equal((await curl(rig.port, '/', '-d', 'x')).status, 429);
  limit(limitBy({}, {}, [{ name: 'shadow', shadow: true }, { name: 'other' }]));
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.equal(server.asked.at(-1)?.descriptors.length, 2);
  const modes = rig.waypoint.meters.collect().find(({ name }) => name === 'weft_rate_limited_total')?.series ?? [];
  assert.deepEqual(modes.map(({ labels }) => `${labels.rule} ${labels.mode}`).toSorted(), ['all enforced', 'shadow shadow']);
});

const FAILURES: { name: string; answer: LimitReply; late?: true; details: RegExp }[] = [
  { name: 'says that it has failed', answer: status.UNAVAILABLE, details: /grpc-status_14/ },
  { name: 'answers garbage', answer: Buffer.from([0xff, 0xff, 0xff]), details: /no_RateLimitResponse/ },
  { name: 'answers nothing', answer: Buffer.alloc(0), details: /neither_OK_nor_OVER_LIMIT/ },
  { name: 'says too much', answer: Buffer.alloc(70_000), details: /longer_than_65536/ },
  { name: 'is late', answer: null, late: true, details: /no_answer_within_5000_ms/ },
];
for (const { name, answer, late, details } of FAILURES) {
  test(`W59 a server that ${name}: 500 and RLSE, or requests pass, as the policy says; then it is well again`, async (t) => {
    let well = false;
    const { rig, app, server, limit } = await limited(
      t,
      (request) => (well ? counted(request, [0]) : answer),
      // The server's own clock must not be the one that ends it.
      limitBy({ timeoutMs: 5_000 }),
    );
    const ask = async () => {
      const before = server.asked.length;
      const seen = curl(rig.port, '/');
      await until(() => server.asked.length > before);
      if (late && !well) rig.clock.advance(5_000);
      return seen;
    };
    assert.equal((await ask()).status, 500);
    assert.equal(lastRequest(rig)?.response_flags, 'RLSE');
    assert.match(String(lastRequest(rig)?.response_code_details), details);
    assert.equal(app.heard.length, 0);
    limit(limitBy({ timeoutMs: 5_000, failOpen: true }));
    assert.equal((await ask()).status, 200);
    assert.equal(lastRequest(rig)?.response_flags, '-');
    well = true;
    assert.equal((await ask()).status, 429);
    assert.deepEqual(answersOf(rig), ['deny 1', 'error 1', 'failed-open 1']);
    if (late) await until(() => server.withdrawn() === 2);
  });
}

test('W59 a server that is gone, and comes back at its place', async (t) => {
  const { rig, server } = await limited(t, (request) => counted(request, [0]));
  assert.equal((await curl(rig.port, '/')).status, 429);
  server.stop();
  assert.equal((await curl(rig.port, '/')).status, 500);
  assert.match(
    String(lastRequest(rig)?.response_code_details),
    /rate_limiter_error\{shop\/limits\.shop\.svc\.cluster\.local:80\|/,
  );
  rig.endpoints([await deadPort()], {}, 'limits');
  assert.equal((await curl(rig.port, '/')).status, 500);
  assert.match(String(lastRequest(rig)?.response_code_details), /ECONNREFUSED/);
  const again = await startLimitServer(t, (request) => counted(request, [0]), { port: server.port });
  rig.endpoints([again.port], {}, 'limits');
  assert.equal((await curl(rig.port, '/')).status, 429);
});

test('W59 what speaks no HTTP/2 is no server, and one that nobody names cannot be asked', async (t) => {
  const { rig, limit } = await limited(t, counted);
  const raw = await startRawApp(t, (socket) => socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
  rig.endpoints([raw], {}, 'limits');
  assert.equal((await curl(rig.port, '/')).status, 500);
  limit(limitBy({ server: null }));
  assert.equal((await curl(rig.port, '/')).status, 500);
  assert.match(String(lastRequest(rig)?.response_code_details), /no_rate_limit_service_is_named/);
  limit(limitBy({ server: null, failOpen: true }));
  assert.equal((await curl(rig.port, '/')).status, 200);
});

const told = (rig: Rig, words: RegExp) => rig.lines.filter(({ message }) => words.test(message)).length;

test('W59 a server that lets pass what it does not count has decided nothing, and it is told once', async (t) => {
  const uncounted: LimitReply = { overallCode: 1, statuses: [{ code: 1 }] };
  let declared = false;
  const { rig, server, limit } = await limited(t, (request) => (declared ? counted(request) : uncounted), limitBy(), {
    probe: (request) => (declared ? counted(request, [0]) : uncounted),
  });
  // Before any request: as the mesh was not known when the waypoint was configured, with the next try.
  rig.clock.advance(1_000);
  await until(() => told(rig, /limits nothing.*domain: weft/) === 1);
  assert.equal(server.probes[0]?.hitsAddend, 2);
  for (let request = 0; request < 2; request++) assert.equal((await curl(rig.port, '/')).status, 500);
  assert.match(String(lastRequest(rig)?.response_code_details), /without_counting/);
  limit(limitBy({ failOpen: true }));
  assert.equal((await curl(rig.port, '/')).status, 200);
  assert.deepEqual(answersOf(rig), ['error 2', 'failed-open 1']);
  declared = true;
  limit(limitBy());
  assert.equal((await curl(rig.port, '/')).status, 200);
  rig.clock.advance(1_000);
  limit(limitBy({ timeoutMs: 30 }));
  await until(() => told(rig, /limits what it is asked about/) === 1);
  assert.equal(told(rig, /limits nothing/), 1);
});

test('W59 a server that limits, and never tells by what, is taken at its word', async (t) => {
  const { rig, server } = await limited(t, () => ({ overallCode: 1 }), limitBy(), { probe: () => ({ overallCode: 2 }) });
  rig.clock.advance(1_000);
  await until(() => server.probes.length === 1);
  await settle();
  assert.equal((await curl(rig.port, '/')).status, 200);
});

test('W59 who leaves takes the question back; a change of the configuration ends none', async (t) => {
  let release: () => void = () => {};
  let held = true;
  const { rig, app, server, limit } = await limited(
    t,
    (request) => (held ? null : counted(request)),
    limitBy({ timeoutMs: 9_999 }),
  );
  const leaving = curl(rig.port, '/', '--max-time', '0.2');
  await until(() => server.asked.length === 1);
  assert.equal((await leaving).code, 28);
  await until(() => server.withdrawn() === 1 && rig.waypoint.counters.openRequests === 0);
  const slow = new Promise<void>((resolve) => {
    release = resolve;
  });
  const waits = curl(rig.port, '/');
  await until(() => server.asked.length === 2);
  held = false;
  limit(limitBy({ failOpen: true }));
  rig.clock.advance(9_999);
  release();
  await slow;
  // By the policy that it came under.
  assert.deepEqual([(await waits).status, app.heard.length], [500, 0]);
});
