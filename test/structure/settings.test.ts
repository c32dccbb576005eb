import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { setting, valuesOf } from '../../src/model/settings/setting.ts';
import { matchesGolden } from './golden.ts';
import { readTables, type SettingTable, settingsPage, strayNumbers, unusedSettings } from './settings.ts';
import { filesBelow, ROOT } from './source-files.ts';

const tables = await readTables();
const sources = filesBelow('src', ['.ts']);

test('docs/settings.md says what the tables say (scripts/settings-page.ts writes it)', () => {
  matchesGolden(join(ROOT, 'docs/settings.md'), settingsPage(tables));
});

test('the tables are found', () => {
  const names = tables.map(({ name }) => name);
  assert.ok(names.length >= 10 && names.includes('PORT') && names.includes('TUNNEL'), names.join());
  assert.equal(new Set(names).size, names.length, 'two tables of one name');
});

test('every setting is used', () => assert.deepEqual(unusedSettings(tables, sources), []));

test('every setting has a reason, and a name that ends with its unit', () => {
  const ends: Readonly<Record<string, RegExp>> = {
    ms: /(Ms|MsMax)$/,
    s: /Seconds(Max)?$/,
    bytes: /Bytes(Max)?$/,
    characters: /(Characters|columns)Max$/,
    'per second': /PerSecond$/,
    percent: /Percent$/,
  };
  for (const { name, group } of tables)
    for (const [key, { unit, why }] of Object.entries(group.rows)) {
      assert.match(why, /^.{8,}\.$/, `${name}.${key} has no reason`);
      assert.match(key, ends[unit] ?? /^/, `${name}.${key} counts ${unit}`);
    }
});

test('no time, size, bound or port is written outside the tables', () => assert.deepEqual(strayNumbers(sources), []));

const strays = [
  'const CONNECT_TIMEOUT_MS = 10_000;',
  'export const HBONE_PORT = 15_008;',
  'const BODY_BYTES_MAX = 64 * 1024;',
  'const LOG_BYTES: number = 1 << 20;',
  'const RETRY_TIMEOUT = 5 * 1_000;',
  'const RETRY_DELAY = 500;',
  '  clock.after(30_000, retry);',
  '/** An hour. */\nconst TTL_SECONDS = 3_600;',
  'const LIMITS = {\n  forwardsMax: 4_096,\n};',
  'const WINDOWS = {\n  streamWindowBytes: 4 * 1024,\n};',
  'const gateway = {\n  hbonePort: 15_008,\n};',
];
for (const text of strays) {
  test(`the settings test sees ${text.replaceAll('\n', ' ')}`, () => {
    assert.equal(strayNumbers([{ path: 'src/model/a.ts', text }]).length, 1);
    assert.deepEqual(strayNumbers([{ path: 'src/model/settings/a.ts', text }]), []);
    assert.deepEqual(strayNumbers([{ path: 'src/model/a.test.ts', text }]), []);
  });
}

const allowed = [
  'const CONNECT_TIMEOUT_MS = TUNNEL.connectTimeoutMs;',
  '/** Length and type. Fixed by RFC 9113. */\nconst HEADER_BYTES = 9;',
  '/** Fixed by the kernel. */\nconst HEADER_BYTES = 9;\nconst REQUEST_BYTES = 72;',
  '// Fixed by RFC 1035.\n\n/** A label. */\nconst LABEL_BYTES_MAX = 63;',
  'const SO_REUSEPORT = 15;',
  '  clock.after(0, next);',
  '  this.#clock.every(AGENT.reapMs, reap);',
  'const PORT_RULE: Schema = { maximum: 65_535 };',
  'const REASON = {\n  noSuchPort: 18,\n};',
  'const next = { delayMs: 0,\n  previousMs: 0,\n};',
];
for (const text of allowed) {
  test(`the settings test lets ${text.replaceAll('\n', ' ')} pass`, () =>
    assert.deepEqual(strayNumbers([{ path: 'src/model/a.ts', text }]), []));
}

const planted: SettingTable = {
  name: 'DOOR',
  path: 'src/model/settings/doors.ts',
  group: {
    about: { title: 'Doors', text: 'Of a house.' },
    rows: { openMs: setting(60_000, 'ms', 'Long enough to go through.') },
  },
};

test('the settings test sees a setting that nothing uses', () => {
  const used = (text: string): string[] => unusedSettings([planted], [{ path: 'src/model/a.ts', text }]);
  assert.deepEqual(used('x(DOOR.openMs)'), []);
  assert.deepEqual(used("type Limits = Pick<typeof DOOR, 'openMs'>;"), []);
  const nothing = ['src/model/settings/doors.ts: nothing uses DOOR.openMs'];
  assert.deepEqual(used('// DOOR.openMs\n'), nothing);
  assert.deepEqual(used('x(DOOR.openMsMax, TRAPDOOR.openMs)'), nothing);
});

test('the page tells a setting in full', () => {
  assert.match(settingsPage([planted]), /## Doors\n\nOf a house.*doors\.ts/);
  assert.match(settingsPage([planted]), /\| `DOOR.openMs` \| 60,000 \(1 min\) \| ms \| Long enough to go through\. \|/);
});

test('values cannot be set in passing', () => {
  const values = valuesOf(planted.group);
  assert.equal(values.openMs, 60_000);
  assert.ok(Object.isFrozen(values));
});
