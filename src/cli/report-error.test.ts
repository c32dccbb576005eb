import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { matchesGolden } from '../../test/structure/golden.ts';
import { describeError } from './report-error.ts';

const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:15012'), { code: 'ECONNREFUSED' });
const cases = [
  { name: 'a sentence alone', error: new WeftError('WEFT_A', 'it is so') },
  { name: 'with a remedy', error: new WeftError('WEFT_A', 'it is so', { remedy: 'do this' }) },
  { name: 'with a cause', error: new WeftError('WEFT_A', 'it is so', { cause: refused, remedy: 'do this' }) },
  { name: 'with a cause that is a sentence', error: new WeftError('WEFT_A', 'it is so', { cause: 'no answer within 5 s' }) },
  {
    name: 'with a chain of causes',
    error: new WeftError('WEFT_A', 'it is so', { cause: new Error('no stream', { cause: refused }) }),
  },
  {
    name: 'with several causes of one',
    error: new WeftError('WEFT_A', 'it is so', { cause: new Error('x', { cause: new AggregateError([refused, refused]) }) }),
  },
  {
    name: 'with several reasons',
    error: new WeftError('WEFT_MACHINE', 'this machine cannot', {
      cause: new AggregateError([new WeftError('WEFT_A', 'one', { remedy: 'do one' }), new WeftError('WEFT_B', 'two'), refused]),
    }),
  },
  { name: 'unexpected', error: new TypeError('x is not a function') },
  { name: 'unexpected, and no error', error: 'a string' },
];

test('errors are told to a person as sentence, cause and remedy', () => {
  const told = cases.map(({ name, error }) => `# ${name}\n${describeError(error, false)}`);
  matchesGolden(join(import.meta.dirname, 'golden/errors.txt'), told.join('\n'));
});

test('with debug, the stacks of the error and of its causes follow', () => {
  const text = describeError(new WeftError('WEFT_A', 'it is so', { cause: refused }), true);
  assert.match(text, /it is so \(WEFT_A\)\ncause: .*\nWeftError: it is so\n\s+at .*caused by Error: connect ECONNREFUSED/s);
});

test('without debug, no stack is told', () => {
  for (const { error } of cases) assert.doesNotMatch(describeError(error, false), /^\s+at /m);
});
