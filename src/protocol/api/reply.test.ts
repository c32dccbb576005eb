import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { bodyObject, errorOf, errorReply, replyTo } from './reply.ts';

const statuses = [
  { error: new WeftError('WEFT_API_PATH', 'a'), status: 404 },
  { error: new WeftError('WEFT_API_BODY', 'a'), status: 400 },
  { error: new WeftError('WEFT_WORKLOAD_NAME', 'a'), status: 400 },
  { error: new WeftError('WEFT_WORKLOAD_EXISTS', 'a'), status: 409 },
  { error: new WeftError('WEFT_SANDBOX', 'a'), status: 500 },
  { error: new TypeError('a'), status: 500 },
  { error: 'a', status: 500 },
];
for (const { error, status } of statuses) {
  const name = error instanceof WeftError ? error.code : String(error);
  test(`${name} is answered ${status}`, () => assert.equal(errorReply(error).status, status));
}

test('an error that is told and read again keeps code, message, causes and remedy', () => {
  const cause = new Error('it cannot be written', { cause: new Error('no space left') });
  const error = new WeftError('WEFT_WORKLOAD_EXISTS', 'runs already', { cause, remedy: 'end it' });
  const read = errorOf(errorReply(error), 'POST /v1/workloads');
  assert.deepEqual([read.code, read.message, read.remedy], [error.code, error.message, error.remedy]);
  assert.equal((read.cause as Error).message, 'it cannot be written: no space left');
});

test('an error of ours that has no code is internal, and has no remedy', () => {
  assert.deepEqual(errorReply(new TypeError('x is not y')).body, { code: 'WEFT_INTERNAL', message: 'x is not y' });
});

for (const body of [undefined, null, [], 'no', { code: 7 }]) {
  test(`an answer that does not say what went wrong (${JSON.stringify(body)}) names the call and its status`, () => {
    const { code, message } = errorOf({ status: 502, body }, 'GET /v1/status');
    assert.deepEqual([code, message], ['WEFT_ANSWER', 'GET /v1/status was answered 502']);
  });
}

test('nothing to say is 204, anything else 200, a rejection its error', async () => {
  assert.deepEqual(await replyTo(() => undefined), { status: 204, body: null });
  assert.deepEqual(await replyTo(async () => ({ a: 1 })), { status: 200, body: { a: 1 } });
  assert.equal((await replyTo(() => Promise.reject(new WeftError('WEFT_API_PATH', 'a')))).status, 404);
});

for (const body of ['', '{', 'null', '[]', '7', '"a"']) {
  test(`the body ${JSON.stringify(body)} is refused with the remedy`, () => {
    assert.throws(() => bodyObject(body, 'send an object'), { code: 'WEFT_API_BODY', remedy: 'send an object' });
  });
}
