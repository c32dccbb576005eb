import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { rawClient } from './clients.testing.ts';
import { AUTHORITIES, DECODED_PATHS, PATHS } from './path-confusion-cases.testing.ts';
import { type Guarded, startGuarded, statusesOf } from './smuggling.testing.ts';
import { CHUNKS, FRAMING, LINES, type SmugglingCase } from './smuggling-cases.testing.ts';
import { until } from './waypoint-rig.testing.ts';

// Requests that two parsers could read in two ways: each on a connection of its own, to a real waypoint, before an app whose parser is
// not ours. What is answered, and what the app gets, is in the tables; what no table may say is that policy was passed by.

const SENTINEL = '/sentinel';

/** Writes, then asks for something harmless behind it: whoever is out of step gets another answer. */
async function say(t: TestContext, port: number, wire: string, answers: number): Promise<{ said: string; whole: boolean }> {
  const client = await rawClient(t, port);
  client.socket.write(wire, 'latin1');
  await until(() => client.ended() || statusesOf(client.received()).statuses.length >= answers);
  if (!client.ended()) client.socket.write(`GET ${SENTINEL} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until(() => client.ended() || statusesOf(client.received()).statuses.length > answers);
  const { statuses, bodies, bytes } = statusesOf(client.received());
  client.socket.destroy();
  const inStep = !client.ended() && statuses.pop() === 200 && bodies.at(-1) === SENTINEL;
  return { said: [...statuses, inStep ? [] : 'close'].flat().join(' '), whole: bytes === client.received().length };
}

async function check(t: TestContext, guarded: Guarded, [name, wire, answers, upstream]: SmugglingCase): Promise<void> {
  const { rig, heard, leaked } = guarded;
  const before = heard.length;
  rig.lines.length = 0;
  const { said, whole } = await say(t, rig.port, wire, answers.replace(' close', '').split(' ').length);
  const got = heard.slice(before).filter((one) => !one.includes(SENTINEL));
  assert.deepEqual({ name, said, whole, got: got.join(', ') }, { name, said: answers, whole: true, got: upstream });
  assert.deepEqual(leaked, [], name);
  // Policy judged, and the log tells, what the app got; a request that was routed differently would say so.
  await until(() => rig.lines.filter(({ response_code }) => response_code === 200).length >= got.length);
  const told = rig.lines.filter(({ response_code, path }) => response_code === 200 && path !== SENTINEL);
  assert.deepEqual(
    told.map(({ method, path, authority }) => `${method} ${path} ${authority}`),
    got.map((one) => one.replace(/ \[[\s\S]*$/, '').replace(/\?\S*/, '')),
    name,
  );
  for (const one of got) assert.equal(/ routed$/.test(one), /^\S+ \/routed/.test(one), name);
}

const TABLES: readonly [title: string, cases: readonly SmugglingCase[]][] = [
  ['W20 W21 W23 request smuggling: where a body ends', FRAMING],
  ['W23 request smuggling: chunks and trailers', CHUNKS],
  ['W19 W23 W25 W28 W30 request smuggling: lines of a head, upgrades', LINES],
  ['W22 path confusion: whose a request is', AUTHORITIES],
  ['W15 W16 W17 W18 path confusion: what a path is', PATHS],
];
for (const [title, cases] of TABLES) {
  test(`${title} (${cases.length} cases)`, async (t) => {
    const guarded = await startGuarded(t, 'BASE');
    for (const one of cases) await check(t, guarded, one);
  });
}

test(`W16 W17 path confusion: where slashes are decoded and merged (${DECODED_PATHS.length} cases)`, async (t) => {
  const guarded = await startGuarded(t, 'DECODE_AND_MERGE_SLASHES');
  for (const one of DECODED_PATHS) await check(t, guarded, one);
});
