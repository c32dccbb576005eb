import assert from 'node:assert/strict';
import test from 'node:test';
import type { Facts } from '#model/expression/attributes.ts';
import { compileRules, tagOf } from './compiled-rules.ts';
import type { SpanTag, TelemetryRules } from './rules.ts';

const FACTS: Facts = { attribute: (name) => (name === 'response.code' ? 503 : undefined), header: () => undefined };

const LOGGED: { name: string; rules: TelemetryRules | undefined; want: boolean | null; problems?: number }[] = [
  { name: 'nothing', rules: undefined, want: null },
  { name: 'no log', rules: { accessLog: false }, want: false },
  { name: 'a filter that holds', rules: { accessLog: { filter: 'response.code >= 500' } }, want: true },
  { name: 'one that does not', rules: { accessLog: { filter: 'response.code < 500' } }, want: false },
  { name: 'one about what is not there', rules: { accessLog: { filter: 'response.grpc_status > 0' } }, want: false },
  { name: 'one that is none', rules: { accessLog: { filter: 'nonsense' } }, want: null, problems: 1 },
];
for (const { name, rules, want, problems = 0 } of LOGGED)
  test(`config-api 5.1: ${name}: ${want === null ? 'every line' : want}`, () => {
    const told: string[] = [];
    const { logged } = compileRules(rules, (why) => told.push(why));
    assert.deepEqual([logged?.(FACTS) ?? null, told.length], [want, problems]);
  });

const tag = (change: Partial<SpanTag>): SpanTag => ({ tag: 't', from: 'literal', name: 'n', otherwise: null, ...change });
const TAGS: { name: string; tag: SpanTag; want: string | null }[] = [
  { name: 'a text', tag: tag({}), want: 'n' },
  { name: 'a header', tag: tag({ from: 'header', name: 'x-team' }), want: 'blue' },
  { name: 'a header that is not there', tag: tag({ from: 'header' }), want: null },
  { name: 'its default', tag: tag({ from: 'header', otherwise: 'none' }), want: 'none' },
  { name: 'a long one', tag: tag({ from: 'header', name: 'x-long' }), want: 'l'.repeat(512) },
  { name: 'a variable', tag: tag({ from: 'environment', name: 'WEFT_TAG_ZONE' }), want: 'a' },
  { name: 'a variable that is not there', tag: tag({ from: 'environment', name: 'HOME', otherwise: 'd' }), want: 'd' },
];
const HEADERS: Record<string, string> = { 'x-team': 'blue', 'x-long': 'l'.repeat(1_000) };
for (const { name, tag: given, want } of TAGS)
  test(`config-api 5.1: a tag of ${name}`, () =>
    assert.equal(
      tagOf(
        given,
        (header) => HEADERS[header] ?? null,
        (variable) => ({ WEFT_TAG_ZONE: 'a' })[variable] ?? null,
      ),
      want,
    ));
