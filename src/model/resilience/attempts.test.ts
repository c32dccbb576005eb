import assert from 'node:assert/strict';
import test from 'node:test';
import {
  type AttemptDecision,
  type AttemptFacts,
  type AttemptPolicy,
  type BodyFacts,
  DEFAULT_ATTEMPTS,
  decideAttempt,
  keepsBody,
} from '#model/resilience/attempts.ts';

const FACTS: AttemptFacts = {
  failure: 'not-processed',
  isSafe: false,
  isRepeatable: false,
  tryNumber: 1,
  body: 'unsent',
  responseBegun: false,
  remainingMs: null,
  pauseMs: 0,
};
const ANYTHING: AttemptPolicy = {
  triesMax: 3,
  after: ['never-sent', 'not-processed', 'perhaps-processed'],
  keptBodyBytesMax: 1_000,
  keptBodiesBytesMax: 10_000,
};
const SAME: AttemptDecision = { kind: 'try-again', endpoint: 'same', freshConnection: true, pauseMs: 0 };
const OTHER: AttemptDecision = { kind: 'try-again', endpoint: 'any', freshConnection: false, pauseMs: 0 };

function giveUp(why: (AttemptDecision & { kind: 'give-up' })['why']): AttemptDecision {
  return { kind: 'give-up', why };
}

const CASES: { name: string; facts: Partial<AttemptFacts>; policy?: AttemptPolicy; want: AttemptDecision }[] = [
  { name: 'by default, what was not processed is sent once more to the same endpoint', facts: {}, want: SAME },
  { name: 'by default, there is no third try', facts: { tryNumber: 2 }, want: giveUp('tries-spent') },
  { name: 'by default, an endpoint that cannot be reached is replaced', facts: { failure: 'never-sent' }, want: OTHER },
  {
    name: 'by default, what may have been processed is not tried again',
    facts: { failure: 'perhaps-processed' },
    want: giveUp('not-allowed'),
  },
  { name: 'by default, a request with a body is not tried again', facts: { body: 'lost' }, want: giveUp('body-lost') },
  { name: 'by default, a stale connection is tried again for GET', facts: { failure: 'stale', isSafe: true }, want: SAME },
  { name: 'by default, and for nothing that changes anything', facts: { failure: 'stale' }, want: giveUp('not-allowed') },
  { name: 'a kept body can go again', facts: { body: 'kept' }, want: SAME },
  { name: 'never after a byte of a response', facts: { responseBegun: true }, policy: ANYTHING, want: giveUp('response-begun') },
  { name: 'as many tries as allowed', facts: { tryNumber: 2 }, policy: ANYTHING, want: SAME },
  { name: 'and not one more', facts: { tryNumber: 3 }, policy: ANYTHING, want: giveUp('tries-spent') },
  { name: 'an endpoint that cannot be reached is replaced', facts: { failure: 'never-sent' }, policy: ANYTHING, want: OTHER },
  {
    name: 'so is one that broke off',
    facts: { failure: 'perhaps-processed', body: 'kept' },
    policy: ANYTHING,
    want: OTHER,
  },
  { name: 'time is left', facts: { remainingMs: 1 }, want: SAME },
  { name: 'no time is left', facts: { remainingMs: 0 }, want: giveUp('out-of-time') },
  { name: 'a policy of one try', facts: {}, policy: { ...ANYTHING, triesMax: 1 }, want: giveUp('tries-spent') },
];

for (const { name, facts, policy, want } of CASES) {
  test(`attempts: ${name}`, () => assert.deepEqual(decideAttempt({ ...FACTS, ...facts }, policy ?? DEFAULT_ATTEMPTS), want));
}

const BODY: BodyFacts = { hasBody: true, contentLength: 1, mayBeRefused: false };
const BODIES: { name: string; policy: AttemptPolicy; body: Partial<BodyFacts>; want: boolean }[] = [
  { name: 'none by default that no upstream could refuse', policy: DEFAULT_ATTEMPTS, body: {}, want: false },
  { name: 'by default, one that may be refused', policy: DEFAULT_ATTEMPTS, body: { mayBeRefused: true }, want: true },
  { name: 'one that fits', policy: ANYTHING, body: { contentLength: 1_000 }, want: true },
  { name: 'one of unknown length, as long as it fits', policy: ANYTHING, body: { contentLength: null }, want: true },
  { name: 'not one that is declared longer', policy: ANYTHING, body: { contentLength: 1_001 }, want: false },
  { name: 'not what is not there', policy: ANYTHING, body: { hasBody: false, contentLength: null }, want: false },
  { name: 'none without a second try', policy: { ...ANYTHING, triesMax: 1 }, body: {}, want: false },
  { name: 'none that no failure could need', policy: { ...ANYTHING, after: [] }, body: {}, want: false },
];

for (const { name, policy, body, want } of BODIES) {
  test(`bodies kept for a further try: ${name}`, () => assert.equal(keepsBody(policy, { ...BODY, ...body }), want));
}
