import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { SHOP } from '#main/control/control-rig.testing.ts';
import { freePort, scratch, serving, weft } from '#main/weft-process.testing.ts';
import { controlClient } from '#platform/local-api/clients.ts';

/** A control plane over a directory with one file, and the commands that speak to it. */
async function aMesh(t: TestContext) {
  const root = scratch(t);
  const config = join(root, 'config');
  mkdirSync(config);
  writeFileSync(join(config, 'shop.yaml'), SHOP);
  const socket = join(root, 'run', 'control.sock');
  const listen = ['--listen', `127.0.0.1:${await freePort()}`, '--socket', socket];
  const control = serving(t, ['control', '--config', config, '--state-dir', join(root, 'state'), ...listen]);
  await control.said('control plane is serving');
  const file = (name: string, text: string): string => {
    writeFileSync(join(root, name), text);
    return join(root, name);
  };
  return { root, config, file, control: controlClient(socket), on: (...args: string[]) => weft(...args, '--socket', socket) };
}

const ratings = (port: number) => `# for the shop
apiVersion: v1
kind: Service
metadata: { name: ratings, namespace: shop }
spec:
  clusterIP: 10.96.0.9
  selector: { app: ratings }
  ports: [{ name: http, port: ${port}, targetPort: 8080 }]
`;
const policy = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed, namespace: shop }
spec: { selector: { matchLabels: { app: ratings } }, action: DENY, rules: [{ from: [{ source: { namespaces: [other] } }] }] }
`;

test('C60: what is applied is in force when the command ends: in its own file, or in a new one', async (t) => {
  const { config, file, on, control } = await aMesh(t);
  const given = file('given.yaml', `${ratings(81)}---\n${policy}`);

  const dry = await on('apply', '-f', given, '--dry-run');
  assert.deepEqual([dry.code, readdirSync(config)], [0, ['shop.yaml']]);
  assert.match(
    dry.out,
    /^Service shop\/ratings configured, .*shop\.yaml:\d+ \(dry run\)\nAuthorizationPolicy shop\/closed created \(dry run\)/,
  );

  const done = await on('apply', '-f', given);
  assert.equal(done.code, 0, done.out + done.err);
  assert.match(done.out, /^Service shop\/ratings configured, .*shop\.yaml:1\nAuthorizationPolicy shop\/closed created, /);
  assert.equal((await control.status()).resources.policies, 1);
  const shop = readFileSync(join(config, 'shop.yaml'), 'utf8');
  assert.ok(shop.startsWith(ratings(81)), shop);
  assert.ok(shop.includes(SHOP.slice(SHOP.indexOf('---'))), 'the document beside it keeps every byte');
  assert.equal(readFileSync(join(config, 'authorizationpolicy_shop_closed.yaml'), 'utf8'), policy);
  assert.match((await control.describe({ kind: 'service', namespace: 'shop', name: 'ratings' })).facts.ports ?? '', /81/);

  assert.match((await on('apply', '-f', given)).out, /ratings unchanged\n.*closed unchanged\n/);
});

test('C60: one that is bad is refused alone, with its file, line and field', async (t) => {
  const { config, file, on, control } = await aMesh(t);
  const given = file(
    'given.yaml',
    `${ratings(70_000)}---\n${policy}---\nkind: [\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: d }\n`,
  );
  const { code, out } = await on('apply', '-f', given);
  assert.equal(code, 1);
  assert.match(
    out,
    /^Service shop\/ratings refused\nAuthorizationPolicy shop\/closed created, .*\na document without a name refused\n/,
  );
  assert.match(out, /Deployment d ignored\n/);
  assert.match(out, /given\.yaml:8: error: Service shop\/ratings spec\.ports\[0\]\.port: .*\[WEFT_FIELD_INVALID\]/);
  assert.match(out, /given\.yaml:\d+: error: .*\[WEFT_YAML_SYNTAX\]/);
  assert.equal(readFileSync(join(config, 'shop.yaml'), 'utf8'), SHOP);
  assert.equal((await control.status()).resources.policies, 1);
});

test('C60: get lists and prints, delete removes, and what is printed can be applied again', async (t) => {
  const { config, file, on, control } = await aMesh(t);
  const table = await on('get', 'svc');
  assert.match(table.out, /^NAMESPACE +NAME +IN FORCE +WRITTEN IN\nshop +ratings +yes +.*shop\.yaml:2\n$/);
  const all = await on('get', 'all', '-o', 'yaml');
  const kept = file('kept.yaml', all.out);
  assert.deepEqual(
    parse(all.out).items.map(({ kind }: { kind: string }) => kind),
    ['Pod', 'Service'],
  );
  const one = await on('get', 'pods', 'ratings-1', '--namespace', 'shop', '-o', 'json');
  assert.equal(JSON.parse(one.out).metadata.name, 'ratings-1');

  assert.deepEqual(await on('delete', 'pod', 'ratings-1', '--namespace', 'shop').then(({ code, out }) => [code, out]), [
    0,
    'Pod shop/ratings-1 deleted\n',
  ]);
  assert.equal((await control.status()).resources.addresses, 1);
  assert.equal((await on('delete', 'pod', 'ratings-1', '--namespace', 'shop')).code, 1);
  assert.equal((await on('delete', 'pod', 'ratings-1', '--namespace', 'shop', '--ignore-not-found')).code, 0);
  assert.equal((await on('delete', '-f', kept, '--ignore-not-found')).code, 0);
  assert.equal(existsSync(join(config, 'shop.yaml')), false);
  assert.equal((await control.status()).resources.addresses, 0);
  assert.equal((await on('get', 'all')).out, '');
  assert.equal((await on('get', 'service', 'ratings')).code, 1);

  const again = await on('apply', '-f', kept);
  assert.match(again.out, /ratings-1 created.*\n.*ratings created/);
  assert.deepEqual((await on('get', 'all', '-o', 'yaml')).out, all.out);
});

test('C60: diff shows each line that would be another, and its exit code says whether there is one', async (t) => {
  const { file, on, config } = await aMesh(t);
  const same = await on('diff', '-f', file('same.yaml', SHOP));
  assert.deepEqual([same.code, same.out], [0, '']);
  const { code, out } = await on('diff', '-f', file('other.yaml', `${ratings(81)}---\n${policy}`));
  assert.equal(code, 1);
  assert.match(out, /^-\s+port: 80$/m);
  assert.match(out, /^\+\s+port: 81$/m);
  assert.match(out, /^\+# AuthorizationPolicy shop\/closed$/m);
  const bad = await on('diff', '-f', file('bad.yaml', ratings(70_000)));
  assert.equal(bad.code, 2);
  assert.match(bad.err, /bad\.yaml:8: error/);
  assert.equal(readFileSync(join(config, 'shop.yaml'), 'utf8'), SHOP);
});

test('C60: a kind that is none, nothing to remove, and a control plane that is away are told with a remedy', async (t) => {
  const { on } = await aMesh(t);
  assert.match((await on('get', 'servces')).err, /does not read resources of kind "servces".*\nremedy: did you mean services\?/);
  assert.match((await on('delete')).err, /say what is to be removed/);
  assert.match((await on('apply')).err, /required option.*--file/);
  assert.match((await weft('get', 'all', '--socket', '/nowhere/control.sock')).err, /WEFT_NO_CONTROL/);
});
