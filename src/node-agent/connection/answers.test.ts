import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { Cut } from '#model/effects/cut.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import { AGENT } from '#model/settings/agents.ts';
import { NO_PATH } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import { type Choice, type Question, refusalData, type ToControl } from '#node-agent/seam/messages.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { Answers, type Granted } from './answers.ts';

const CLIENT = parseIp('10.0.0.1');
const to = (port: number): Question => ({
  kind: 'outbound',
  enrolment: 1,
  client: CLIENT,
  dialled: { ip: parseIp('10.0.1.2'), port },
  chosen: null,
  tried: [],
});
const clear = (port: number, weight = 1): Choice => ({
  weight,
  way: { kind: 'clear', target: { ip: parseIp('10.0.1.2'), port } },
  path: NO_PATH,
  dryRun: [],
  endpoint: null,
});

/** Control is played by the test: `heard` is what it was sent. */
function setUp(random: () => number = () => 0) {
  const heard: ToControl[] = [];
  const clock = new SteppedClock();
  const answers = new Answers({ control: { send: (message) => void heard.push(message) }, clock, random });
  let last = 0;
  const answer = (question: number, choices: Choice[], keeps = true): number => {
    const content = { source: { workload: null, identity: null }, choices };
    answers.answer({ kind: 'answer', question, answer: ++last, content, keeps });
    return last;
  };
  const released = () => heard.flatMap((message) => (message.kind === 'release' ? message.answers : []));
  const asked = () => heard.filter(({ kind }) => kind === 'ask').length;
  return { answers, answer, clock, heard, released, asked };
}

/** The port that a granted connection goes to. */
function portOf({ choice: { way } }: Granted): number {
  return way.kind === 'clear' ? way.target.port : assert.fail(way.kind);
}

test('what was answered is known without asking, until it is dropped; what goes by it goes on', async () => {
  const { answers, answer, asked, released } = setUp();
  const cut = new Cut();
  const first = answers.ask(to(80), cut);
  const id = answer(1, [clear(1)]);
  const granted = await first;
  assert.equal(portOf(granted), 1);
  const second = answers.ask(to(80), new Cut());
  assert.ok(!(second instanceof Promise));
  second.release();
  assert.equal(asked(), 1);
  answers.drop([id]);
  assert.deepEqual([cut.reason, released()], [null, []]);
  assert.ok(answers.ask(to(80), new Cut()) instanceof Promise);
  granted.release();
  assert.deepEqual([asked(), released()], [2, [id]]);
});

test('all that ask the same wait for one answer; another question is another', async () => {
  const { answers, answer, asked } = setUp();
  const waiting = [answers.ask(to(80), new Cut()), answers.ask(to(80), new Cut()), answers.ask(to(81), new Cut())];
  assert.equal(asked(), 2);
  answer(2, [clear(2)]);
  answer(1, [clear(1)]);
  assert.deepEqual((await Promise.all(waiting)).map(portOf), [1, 1, 2]);
});

test('a revocation cuts what goes by that choice, and nothing new goes by the answer', async () => {
  let draw = 0;
  const { answers, answer } = setUp(() => draw);
  const cuts = [new Cut(), new Cut()] as const;
  const first = answers.ask(to(80), cuts[0]);
  const id = answer(1, [clear(1), clear(2)]);
  assert.equal(portOf(await first), 1);
  draw = 0.9;
  const second = answers.ask(to(80), cuts[1]);
  assert.equal(portOf(await second), 2);
  const refusal = refusalData(new Refusal('policy-change', 'denied now', { policy: 'shop/p', rule: 0 }));
  answers.revoke({ kind: 'revoke', answer: id, choice: 1, refusal });
  assert.deepEqual([cuts[0].reason, cuts[1].reason?.message], [null, 'denied now']);
  assert.deepEqual(cuts[1].reason instanceof Refusal && [cuts[1].reason.flag, cuts[1].reason.policy], ['DENY', 'shop/p']);
  assert.ok(answers.ask(to(80), new Cut()) instanceof Promise);
});

test('an answer that is not kept is for those who waited, and is given back after them', async () => {
  const { answers, answer, released } = setUp();
  const waiting = answers.ask(to(80), new Cut());
  const id = answer(1, [clear(1)], false);
  const granted = await waiting;
  assert.ok(answers.ask(to(80), new Cut()) instanceof Promise);
  assert.deepEqual(released(), []);
  granted.release();
  granted.release();
  assert.deepEqual(released(), [id]);
});

test('without an answer in time a connection is refused, and the answer that comes later is nobody’s', async () => {
  const { answers, answer, clock, released, asked } = setUp();
  const waiting = answers.ask(to(80), new Cut());
  clock.advance(AGENT.answerDeadlineMs);
  const { choice } = await waiting;
  assert.equal(choice.way.kind === 'refused' && choice.way.refusal.why, 'unknown-mesh');
  const id = answer(1, [clear(1)]);
  assert.deepEqual(released(), [id]);
  assert.ok(answers.ask(to(80), new Cut()) instanceof Promise);
  assert.equal(asked(), 2);
});

test('what was dropped while it was on its way in a former answer is not taken up again', () => {
  const { answers, answer } = setUp();
  void answers.ask(to(80), new Cut());
  const former = answer(1, [clear(1)]);
  answers.drop(null);
  void answers.ask(to(80), new Cut());
  answer(2, [clear(2)]);
  answers.drop([former]); // of one that is no longer there
  const granted = answers.ask(to(80), new Cut());
  assert.ok(!(granted instanceof Promise));
  assert.equal(portOf(granted), 2);
});

test('too many that wait are refused at once, and answers beyond the bound push out the oldest', async () => {
  const { answers, answer, released } = setUp();
  for (let port = 0; port <= AGENT.answersMax; port++) {
    const asked = answers.ask(to(port), new Cut());
    answer(port + 1, [clear(port)]);
    (await asked).release();
  }
  assert.deepEqual(released(), [1]);
  const full = setUp();
  for (let n = 0; n < AGENT.waitersMax; n++) void full.answers.ask(to(80), new Cut());
  const refused = full.answers.ask(to(80), new Cut());
  assert.ok(!(refused instanceof Promise));
  assert.equal(refused.choice.way.kind, 'refused');
});

test('questions that differ in one thing have answers of their own, whichever was asked last', () => {
  const { answers, answer, asked } = setUp();
  const base = {
    kind: 'outbound',
    enrolment: 1,
    client: CLIENT,
    dialled: { ip: CLIENT, port: 80 },
    chosen: null,
    tried: [],
  } as const;
  const other = parseIp('10.0.0.9');
  const peer = { trustDomain: 't', namespace: 'n', serviceAccount: 'a' };
  const tunnel = { kind: 'tunnel', enrolment: 1, peer, remote: CLIENT, local: CLIENT, authority: 'a:1', host: null } as const;
  const questions: Question[] = [
    base,
    { ...base, enrolment: 2 },
    { ...base, client: other },
    { ...base, dialled: { ip: other, port: 80 } },
    { ...base, chosen: { ip: other, port: 80 } },
    { ...base, chosen: { ip: other, port: 81 } },
    { ...base, tried: [{ service: serviceKeyOf({ namespace: 'n', hostname: 'h' }), uid: 'u', ip: other, port: 80 }] },
    tunnel,
    { ...tunnel, enrolment: 2 },
    { ...tunnel, peer: { ...peer, serviceAccount: 'b' } },
    { ...tunnel, remote: other },
    { ...tunnel, local: other },
    { ...tunnel, authority: 'a:2' },
    { ...tunnel, host: 'h' },
  ];
  for (const [at, question] of questions.entries()) {
    answers.ask(question, new Cut());
    assert.equal(asked(), at + 1, JSON.stringify(question));
    answer(at + 1, [clear(at + 1)]);
  }
  for (const question of [...questions, ...questions.toReversed()]) {
    const granted = answers.ask({ ...question }, new Cut());
    assert.ok(!(granted instanceof Promise));
    assert.equal(portOf(granted), questions.indexOf(question) + 1);
  }
});

test('an answer that was dropped is not given again, though it was the last that was given', () => {
  const { answers, answer, asked } = setUp();
  answers.ask(to(80), new Cut());
  const id = answer(1, [clear(1)]);
  for (let again = 0; again < 2; again++) answers.ask(to(80), new Cut());
  answers.drop([id]);
  assert.ok(answers.ask(to(80), new Cut()) instanceof Promise);
  assert.equal(asked(), 2);
});
