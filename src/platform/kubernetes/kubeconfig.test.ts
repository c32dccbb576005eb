import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { WeftError } from '#model/error.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { inClusterAccess, tokenFile } from './access.ts';
import { readKubeconfig } from './kubeconfig.ts';

const PEM = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
const BASE64 = Buffer.from(PEM).toString('base64');

async function folder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-kubeconfig-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  return dir;
}

function config(cluster: string, user: string): string {
  return [
    'apiVersion: v1',
    'kind: Config',
    'current-context: one',
    'contexts: [{ name: one, context: { cluster: c, user: u } }, { name: two, context: { cluster: nowhere, user: u } }]',
    `clusters: [{ name: c, cluster: { ${cluster} } }]`,
    `users: [{ name: u, user: { ${user} } }]`,
  ].join('\n');
}

const CLUSTER = `server: "https://10.0.0.1:6443", certificate-authority-data: ${BASE64}`;

test('a kubeconfig with everything inside', async (t) => {
  const text = config(CLUSTER, `client-certificate-data: ${BASE64}, client-key-data: ${BASE64}`);
  const dir = await folder(t, { config: text });
  const { server, caPem, certPem, keyPem, token } = await readKubeconfig(join(dir, 'config'));
  assert.deepEqual([server.host, caPem, certPem, keyPem, await token()], ['10.0.0.1:6443', PEM, PEM, PEM, null]);
});

test('files are found beside the kubeconfig; a token is read from its file', async (t) => {
  const text = config(
    'server: "https://[fd00::1]:6443", certificate-authority: ca.pem, tls-server-name: api',
    'tokenFile: token',
  );
  const dir = await folder(t, { config: text, 'ca.pem': PEM, token: 'secret\n' });
  const { caPem, serverName, token } = await readKubeconfig(join(dir, 'config'));
  assert.deepEqual([caPem, serverName, await token()], [PEM, 'api', 'secret']);
});

test('what cannot be used is refused with what to do', async (t) => {
  const cases: [string, string | null, RegExp][] = [
    [config('server: "http://10.0.0.1"', ''), null, /clear text/],
    [config(`${CLUSTER}, insecure-skip-tls-verify: true`, ''), null, /not to verify/],
    [config(CLUSTER, 'exec: { command: aws }'), null, /"exec"/],
    [config(CLUSTER, ''), 'two', /does not describe/],
    [config(CLUSTER, ''), 'three', /no context "three"/],
    [config('server: "https://a", certificate-authority-data: AAAA', ''), null, /no PEM/],
    ['- [', null, /no YAML/],
    ['', null, /empty/],
  ];
  const dir = await folder(t, {});
  for (const [text, context, message] of cases) {
    await writeFile(join(dir, 'config'), text);
    await assert.rejects(readKubeconfig(join(dir, 'config'), context), (error) => {
      assert.ok(error instanceof WeftError && error.code === 'WEFT_KUBERNETES_ACCESS');
      assert.match(error.message, message);
      assert.notEqual(error.remedy, '');
      return true;
    });
  }
});

test('a token that the kubelet renews is read again after a minute, and at once when it was refused', async (t) => {
  const dir = await folder(t, { token: 'first' });
  let nowMs = 0;
  const token = tokenFile(join(dir, 'token'), () => nowMs);
  assert.equal(await token(), 'first');
  await writeFile(join(dir, 'token'), 'second');
  assert.equal(await token(), 'first');
  assert.equal(await token(true), 'second');
  await writeFile(join(dir, 'token'), 'third');
  nowMs += KUBERNETES.tokenReadMs;
  assert.equal(await token(), 'third');
});

test('a pod finds its API server by what the kubelet gave it', async (t) => {
  const dir = await folder(t, { 'ca.crt': PEM, token: 'of a pod' });
  const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
  const { server, token } = await inClusterAccess(env, dir);
  assert.deepEqual([server.href, await token()], ['https://[fd00::1]/', 'of a pod']);
  await assert.rejects(inClusterAccess({}, dir), /no pod of a cluster/);
});
