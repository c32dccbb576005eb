import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SHOP } from '#main/control/control-rig.testing.ts';
import { scratch, weft } from '#main/weft-process.testing.ts';

const BROKEN = SHOP.replace('port: 80,', 'port: 80000,');

test('validate: good resources are counted, and the exit code is 0', async (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'shop.yaml'), SHOP);
  mkdirSync(join(directory, 'below'));
  writeFileSync(join(directory, 'below', 'other.yml'), SHOP.replaceAll('ratings', 'reviews').replace('10.96.0.9', '10.96.0.8'));
  writeFileSync(join(directory, 'notes.txt'), 'no resource');
  const { code, out, err } = await weft('validate', directory);
  assert.deepEqual([code, err], [0, '']);
  assert.match(out, /^2 files read\n/);
});

test('validate: an error is told with file, line and remedy on standard output, and the exit code is 1', async (t) => {
  const file = join(scratch(t), 'shop.yaml');
  writeFileSync(file, BROKEN);
  const { code, out, err } = await weft('validate', file);
  assert.deepEqual([code, err], [1, '']);
  assert.match(out, /^1 file read\n/);
  assert.match(out, new RegExp(`${file}:\\d+.*error`, 's'));
});

test('validate: files named one by one are read together, whatever their names end in', async (t) => {
  const directory = scratch(t);
  const files = ['a.yaml', 'b.txt'].map((name) => join(directory, name));
  const [service = '', pod = ''] = SHOP.split('---');
  for (const [at, text] of [service, pod].entries()) writeFileSync(files[at] ?? '', text);
  const { code, out } = await weft('validate', ...files);
  assert.equal(code, 0);
  assert.match(out, /^2 files read\n/);
});

test('validate: what cannot be read, and what holds no resources, are errors with a code and a remedy', async (t) => {
  const empty = scratch(t);
  const absent = join(empty, 'absent.yaml');
  const refusals = [
    {
      path: absent,
      says: new RegExp(
        `^weft: cannot read ${absent} \\(WEFT_CONFIG_FILE\\)\ncause: .*it is not there \\(ENOENT\\)\nremedy: check its name`,
      ),
    },
    { path: '/dev/zero', says: /^weft: cannot read \/dev\/zero \(WEFT_CONFIG_FILE\)\ncause: it is larger than \d+ bytes/ },
    {
      path: empty,
      says: /^weft: there is no \*\.yaml, \*\.yml or \*\.json file in .* \(WEFT_NO_RESOURCES\)\nremedy: name the directory/,
    },
  ];
  for (const { path, says } of refusals) {
    const { code, out, err } = await weft('validate', path);
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, says);
  }
});

test('H5: validate reads JSON, and tells the name of each file that is passed over', async (t) => {
  const directory = scratch(t);
  writeFileSync(join(directory, 'shop.yaml'), SHOP);
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop' },
    spec: { ports: [{ port: 80000 }] },
  };
  writeFileSync(join(directory, 'web.json'), JSON.stringify(service));
  for (const name of ['deny.YAML', 'deny.yaml.bak', 'notes.txt', '.hidden']) writeFileSync(join(directory, name), SHOP);
  const { code, out } = await weft('validate', directory);
  assert.equal(code, 1);
  assert.match(out, /^2 files read\n/);
  assert.match(out, /web\.json:\d+.*error/);
  for (const name of ['deny.YAML', 'deny.yaml.bak', 'notes.txt'])
    assert.match(out, new RegExp(`${directory}/${name}:1.*it is not read.*WEFT_FILE_IGNORED`, 's'));
  assert.doesNotMatch(out, /hidden/);
});

test('H11: validate tells programs the same as people', async (t) => {
  const file = join(scratch(t), 'shop.yaml');
  writeFileSync(file, BROKEN);
  const { code, out } = await weft('validate', file, '-o', 'json');
  assert.equal(code, 1);
  const { files, findings } = JSON.parse(out);
  assert.equal(files, 1);
  assert.ok(
    findings.some(
      ({ severity, origin }: { severity: string; origin: { file: string } }) => severity === 'error' && origin.file === file,
    ),
  );
});
