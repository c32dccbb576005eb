import assert from 'node:assert/strict';
import test from 'node:test';
import { parse } from 'yaml';
import { found } from '#model/check/finding.ts';
import { checkReport, formatCheck } from './check.ts';
import { paintFor, plainText } from './text-format.ts';

const FINDINGS = [found('WEFT_CHECK_JIT', 'it is 0'), found('WEFT_CHECK_PORT', '127.0.0.1:9 is taken')];
const report = checkReport(FINDINGS, new Set(['machine', 'limits'] as const));

test('H17: what was looked at and is well is a line, a finding has code, reason and remedy, and the rest is left out', async () => {
  assert.deepEqual((await formatCheck(report, 'table')).split('\n'), [
    'warning  machine        it is 0 [WEFT_CHECK_JIT]',
    '  why: Each connection costs several times as much.',
    '  remedy: sysctl -w net.core.bpf_jit_enable=1',
    'ok       limits',
    'error    ports          127.0.0.1:9 is taken [WEFT_CHECK_PORT]',
    '  why: Agents would reach that program; the control plane does not start.',
    '  remedy: End it, or choose another place with `--listen`.',
    '1 error, 1 warning',
    '',
  ]);
  assert.match(await formatCheck(checkReport([], new Set(['limits'])), 'table'), /nothing is wrong\n$/);
});

test('H17: json and yaml say the same', async () => {
  assert.deepEqual(JSON.parse(await formatCheck(report, 'json')), parse(await formatCheck(report, 'yaml')));
  assert.equal(JSON.parse(await formatCheck(report, 'json')).level, 'error');
});

test('H11: colours are for terminals that know them, and for users who have not said no', async () => {
  assert.equal(paintFor(true, {})('red', 'x'), '\u001b[31mx\u001b[0m');
  assert.equal(paintFor(true, { NO_COLOR: '' })('red', 'x'), '\u001b[31mx\u001b[0m');
  for (const paint of [paintFor(false, {}), paintFor(true, { NO_COLOR: '1' }), paintFor(true, { TERM: 'dumb' }), plainText])
    assert.equal(paint('red', 'x'), 'x');
  assert.ok((await formatCheck(report, 'table', paintFor(true, {}))).startsWith('\u001b[33mwarning\u001b[0m  machine'));
});
