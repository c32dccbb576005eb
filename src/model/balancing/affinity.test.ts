import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choiceOfClient } from './affinity.ts';

type Choice = { name: string; weight: number };
const nameOf = ({ name }: Choice): string => name;
const CLIENTS = Array.from({ length: 20_000 }, (_, at) => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`);
const [a, b, c]: Choice[] = [
  { name: '10.7.0.2:8080', weight: 1 },
  { name: '10.7.0.3:8080', weight: 1 },
  { name: '10.7.0.4:8080', weight: 2 },
] as const;
const of = (choices: readonly (Choice | undefined)[], client: string): string | undefined =>
  choiceOfClient(
    choices.filter((one) => one !== undefined),
    client,
    nameOf,
  )?.name;

test('K76: a client always gets the same choice, whatever their order', () => {
  for (const client of CLIENTS.slice(0, 200)) assert.equal(of([a, b, c], client), of([c, a, b], client));
  assert.equal(of([], '10.0.0.1'), undefined);
});

test('K76: over many clients choices are as frequent as their weights', () => {
  const counts: Record<string, number> = {};
  for (const client of CLIENTS) counts[of([a, b, c], client) ?? ''] = (counts[of([a, b, c], client) ?? ''] ?? 0) + 1;
  // Four standard deviations of a fair draw.
  for (const { name, weight } of [a, b, c].filter((one) => one !== undefined))
    assert.ok(
      Math.abs((counts[name] ?? 0) - (CLIENTS.length * weight) / 4) < 4 * Math.sqrt(CLIENTS.length / 4),
      JSON.stringify(counts),
    );
});

test('K76: when a choice leaves, only its clients move', () => {
  for (const client of CLIENTS) {
    const before = of([a, b, c], client);
    if (before !== c?.name) assert.equal(of([a, b], client), before);
  }
});
