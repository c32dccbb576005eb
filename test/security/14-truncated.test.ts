import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Header } from '#protocol/http/v2/field.ts';
import type { App } from '#testbed/lab/app.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { attackProgram } from './dialling.testing.ts';
import { AttackedMesh } from './mesh.testing.ts';
import {
  answers2,
  boundServiceYaml,
  GATEWAY_YAML,
  type Heard,
  requests2,
  say,
  waypointLives,
  waypointLog,
} from './waypoint.testing.ts';

const SETTLE_MS = 10_000;
const VIP2 = '10.96.14.1';
const VIP1 = '10.96.14.2';

/** Answers of `raw-http-server` that are not what they announce, and which version they come over. */
const SHORT: readonly { vip: string; kind: string; what: string }[] = [
  { vip: VIP2, kind: 'reset', what: 'RST_STREAM(NO_ERROR) before END_STREAM' },
  { vip: VIP2, kind: 'reset-announced', what: 'the same after 4 of 100 bytes' },
  { vip: VIP2, kind: 'end-announced', what: 'END_STREAM after 4 of 100 bytes' },
  { vip: VIP2, kind: 'head-announced', what: 'END_STREAM after none of 100 bytes' },
  { vip: VIP2, kind: 'more-announced', what: '4 bytes where 2 were announced' },
  { vip: VIP1, kind: 'end-announced', what: 'HTTP/1, the end after 4 of 100 bytes' },
  { vip: VIP1, kind: 'end-chunked', what: 'HTTP/1, the end before the last chunk' },
];

/** An answer of HTTP/1 as a client would read it. */
type Answer1 = { status: number; body: string; whole: boolean };

/** The answers in what a server said, one after the other, by their lengths alone. */
function answers1({ bytes }: Heard): Answer1[] {
  const answers: Answer1[] = [];
  let rest = bytes.toString('latin1');
  while (rest !== '') {
    const headEnd = rest.indexOf('\r\n\r\n');
    const head = headEnd < 0 ? rest : rest.slice(0, headEnd);
    const answer = { status: Number(head.split(' ')[1]), body: '', whole: false };
    answers.push(answer);
    if (headEnd < 0) break;
    rest = rest.slice(headEnd + 4);
    const length = /^content-length: (\d+)/im.exec(head)?.[1];
    if (length !== undefined) {
      answer.body = rest.slice(0, Number(length));
      answer.whole = answer.body.length === Number(length);
      rest = rest.slice(Number(length));
      continue;
    }
    for (;;) {
      const [line = '', size] = /^([0-9a-f]+)\r\n/.exec(rest) ?? [];
      if (size === undefined) return answers;
      const bytesOfChunk = Number.parseInt(size, 16);
      answer.body += rest.slice(line.length, line.length + bytesOfChunk);
      rest = rest.slice(line.length + bytesOfChunk + 2);
      answer.whole = bytesOfChunk === 0;
      if (answer.whole) break;
    }
  }
  return answers;
}

/** An answer that is none: its client must not take it for one, and nobody another's. */
describe('truncated answers', () => {
  let mesh: AttackedMesh;
  let client: App;
  let other: App;
  before(async () => {
    mesh = await AttackedMesh.up({
      'waypoint.yaml': GATEWAY_YAML,
      'two.yaml': boundServiceYaml('two', VIP2, 'raw', 'kubernetes.io/h2c', 7000),
      'one.yaml': boundServiceYaml('one', VIP1, 'raw', 'http', 7001),
    });
    [client, other] = await Promise.all([
      mesh.start({ name: 'client', node: 'alpha', command: attackProgram('raw-client') }),
      mesh.start({ name: 'other', node: 'beta', command: attackProgram('raw-client') }),
      mesh.start({ name: 'raw', node: 'beta', command: attackProgram('raw-http-server') }),
    ]);
    await mesh.lab.waypointsReady();
    for (const vip of [VIP2, VIP1])
      for (const app of [client, other])
        await waitUntil('the waypoint', SETTLE_MS, async () => (await ask1(app, vip, '/whole/first'))[0]?.status === 200);
  });
  after(() => mesh?.down());

  const ask1 = async (app: App, vip: string, ...paths: string[]): Promise<Answer1[]> =>
    answers1(await say(app, vip, paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: raw\r\n\r\n`).join('')));
  const head = (path: string): Header[] => [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'raw'],
  ];
  /** Another client's requests meanwhile and afterwards: each has its own answer. */
  const othersAreRight = async (vip: string, marks: readonly string[]): Promise<void> => {
    for (const mark of marks) {
      const answers = await ask1(other, vip, `/whole/${mark}-1`, `/whole/${mark}-2`);
      assert.deepEqual(
        answers.map(({ status, body, whole }) => [status, whole, /\/whole\/[\w-]+/.exec(body)?.[0]]),
        [1, 2].map((at) => [200, true, `/whole/${mark}-${at}`]),
      );
    }
  };
  const isWhole = (answer: { status: string | number; whole: boolean } | undefined): boolean =>
    answer?.whole === true && Number(answer.status) < 500;
  /** The log does not take it for a good one either. */
  const isToldOf = (path: string): Promise<boolean> =>
    waitUntil(`the flags of ${path}`, SETTLE_MS, async () => {
      const line = (await waypointLog(mesh)).split('\n').find((one) => one.includes(`path=${path} `));
      return line !== undefined && /response_flags=(?:UR|UPE|UC) /.test(line);
    });

  describe('that fall short or exceed', { concurrency: true }, () => {
    for (const { vip, kind, what } of SHORT) {
      test(`S14: ${what}, HTTP/1 client: it sees an error, and the next answer is not the rest`, async () => {
        const path = `/${kind}/${vip}-1`;
        const [answers] = await Promise.all([ask1(client, vip, path, '/whole/secret'), othersAreRight(vip, ['meanwhile'])]);
        const [first, second] = answers;
        assert.ok(!isWhole(first), `it took ${JSON.stringify(first)} for whole`);
        assert.ok(!first?.body.includes('secret'), JSON.stringify(first));
        // After what broke off no answer can be told from the rest of it: the connection has ended.
        if (first?.whole !== true) assert.equal(second, undefined);
        await othersAreRight(vip, ['later', 'last']);
        await isToldOf(path);
      });

      test(`S14: ${what}, HTTP/2 client: it sees an error, and the next answer is its own`, async () => {
        const path = `/${kind}/${vip}-2`;
        const heard = await say(client, vip, requests2([{ head: head(path) }, { head: head('/whole/secret') }]));
        const [first, second] = [1, 3].map((stream) => answers2(heard).get(stream));
        assert.ok(!isWhole(first), `it took ${JSON.stringify(first)} for whole`);
        assert.deepEqual([second?.status, second?.whole, second?.body.includes('/whole/secret')], ['200', true, true]);
        await isToldOf(path);
      });
    }
  });

  for (const [kind, when] of [
    ['unasked', 'with one that was asked for'],
    ['unasked-later', 'when nothing is'],
  ])
    test(`S14: an app answers on a kept connection what nobody asks, ${when}: nobody gets it`, async () => {
      const answers = await ask1(client, VIP1, `/${kind}/a`);
      assert.deepEqual(
        answers.map(({ status, whole }) => [status, whole]),
        [[200, true]],
      );
      await othersAreRight(VIP1, ['x', 'y', 'z']);
      await waypointLives(mesh);
    });
});
