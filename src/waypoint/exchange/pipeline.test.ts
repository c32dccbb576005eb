import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import type { AttemptDecision } from '#model/resilience/attempts.ts';
import { systemClock } from '#platform/clock.ts';
import type { ResponseHead, UpstreamProblem } from '#protocol/http/message.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { REPLY } from '#waypoint/exchange/local-reply.ts';
import { Pipeline } from '#waypoint/exchange/pipeline.ts';
import { CARRIED, NEXT, replyWith, type Stage } from '#waypoint/exchange/stage.ts';
import { UpstreamEndpoint } from '#waypoint/state/kept.ts';

const PROBLEM: UpstreamProblem = { kind: 'closed', details: '', staleConnection: true, unprocessed: false };
const AGAIN: AttemptDecision = { kind: 'try-again', endpoint: 'same', freshConnection: true, pauseMs: 0 };

/** A pipeline of stages that write down what is asked of them, and an exchange that has nothing else. */
function run(stages: (said: string[]) => Stage[]) {
  const said: string[] = [];
  const pipeline = new Pipeline(stages(said), SILENT_MISHAPS, systemClock);
  const replies: string[] = [];
  const exchange = { over: false, attempt: null } as unknown as Exchange;
  const reply = ({ details }: { details: string }): void => {
    replies.push(details);
    exchange.over = true;
  };
  const carrier = { reply, giveUp: () => reply(REPLY.mistake) } as unknown as Carrier;
  return { said, replies, exchange, carrier, pipeline };
}

/** A stage that says its name at every hook and passes the request on. */
function witness(name: string, said: string[]): Stage {
  const say = (hook: string): typeof NEXT => {
    said.push(`${name}.${hook}`);
    return NEXT;
  };
  return {
    name,
    request: () => say('request'),
    attempt: (_exchange, attempt) => say(`attempt${attempt.number}`),
    attemptEnd: (_exchange, attempt) => say(`attemptEnd${attempt.number}`),
    requestEnded: () => say('requestEnded'),
    response: () => say('response'),
    end: () => say('end'),
    sent: () => say('sent'),
  };
}

test('pipeline: every request stage, then every attempt stage, in list order; responses in reverse', () => {
  const { said, exchange, carrier, pipeline } = run((all) => [witness('a', all), witness('b', all)]);
  pipeline.run(exchange, carrier);
  pipeline.requestEnded(exchange, carrier);
  pipeline.response(exchange, {} as ResponseHead, false);
  pipeline.end(exchange, carrier);
  pipeline.sent(exchange);
  assert.deepEqual(said, [
    ...['a.request', 'b.request', 'a.attempt1', 'b.attempt1', 'a.requestEnded', 'b.requestEnded'],
    ...['b.response', 'a.response', 'a.attemptEnd1', 'b.attemptEnd1', 'a.end', 'b.end', 'a.sent', 'b.sent'],
  ]);
  assert.equal(exchange.attempt?.outcome, 'responded');
});

test('pipeline: a stage that answers is the last one asked, and no try is made', () => {
  const { said, replies, exchange, carrier, pipeline } = run((all) => [
    { name: 'refuse', request: () => replyWith(REPLY.noRoute) },
    witness('later', all),
  ]);
  pipeline.run(exchange, carrier);
  assert.deepEqual([said, replies, exchange.attempt], [[], ['route_not_found'], null]);
});

test('pipeline: a further try asks the attempt stages alone, on the terms of the decision', () => {
  const endpoint = new UpstreamEndpoint(aWorkload('a', ['10.0.0.1']), parseIp('10.0.0.1'), 80, null);
  const tries: unknown[] = [];
  const { said, exchange, carrier, pipeline } = run((all) => [
    witness('a', all),
    {
      name: 'send',
      attempt(_exchange, attempt) {
        const { number, sameEndpoint, freshConnection, previous } = attempt;
        attempt.endpoint = endpoint;
        tries.push({ number, sameEndpoint, freshConnection, before: previous?.outcome ?? null });
        return CARRIED;
      },
      attemptFailed: (_exchange, { number }) => (number < 2 ? AGAIN : { kind: 'give-up', why: 'tries-spent' }),
    },
  ]);
  pipeline.run(exchange, carrier);
  assert.equal(pipeline.tryAgain(exchange, carrier, PROBLEM), true);
  assert.equal(pipeline.tryAgain(exchange, carrier, PROBLEM), false);
  assert.deepEqual(tries, [
    { number: 1, sameEndpoint: null, freshConnection: false, before: null },
    { number: 2, sameEndpoint: endpoint, freshConnection: true, before: PROBLEM },
  ]);
  assert.deepEqual(said, ['a.request', 'a.attempt1', 'a.attemptEnd1', 'a.attempt2']);
  assert.equal(exchange.attempt?.outcome, PROBLEM);
});

test('pipeline: without a stage that decides, and without a try, there is no second one', () => {
  const { exchange, carrier, pipeline } = run((all) => [witness('a', all)]);
  assert.equal(pipeline.tryAgain(exchange, carrier, PROBLEM), false);
  pipeline.run(exchange, carrier);
  assert.equal(pipeline.tryAgain(exchange, carrier, PROBLEM), false);
});

test('pipeline: a stage that waits holds the ones after it; it may find the exchange over', async () => {
  for (const over of [false, true]) {
    let proceed: () => void = () => {};
    const waiting = new Promise<void>((resolve) => {
      proceed = resolve;
    });
    const { said, exchange, carrier, pipeline } = run((all) => [
      { name: 'wait', request: () => waiting.then(() => NEXT) },
      witness('later', all),
    ]);
    pipeline.run(exchange, carrier);
    assert.deepEqual(said, []);
    exchange.over = over;
    proceed();
    await waiting;
    await Promise.resolve();
    assert.deepEqual(said, over ? [] : ['later.request', 'later.attempt1']);
  }
});

test('pipeline: a stage that rejects answers 500', async () => {
  const { said, replies, exchange, carrier, pipeline } = run((all) => [
    { name: 'wait', request: () => Promise.reject(new Error('broken')) },
    witness('later', all),
  ]);
  pipeline.run(exchange, carrier);
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  assert.deepEqual([said, replies], [[], ['stage_failed']]);
});
