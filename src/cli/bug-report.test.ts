import assert from 'node:assert/strict';
import test from 'node:test';
import { REPORT } from '#model/settings/reports.ts';
import { reportFiles, type Source } from './bug-report.ts';

const JWT = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJub2RlLTEifQ.c2lnbmF0dXJl';
const KEY = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49planted\n-----END PRIVATE KEY-----\n';
const [PASSWORD, VALUE] = ['pl4nted-passw0rd', 'pl4nted-value'];

const RESOURCES = `
# the old one was ${PASSWORD}
kind: Secret
metadata: { name: database, annotations: { kubectl.kubernetes.io/last-applied-configuration: '{"data":"${VALUE}"}' } }
stringData: { word: ${PASSWORD} }
data: { other: ${VALUE} }
---
{ "kind": "Secret", "metadata": { "name": "inline" }, "data": { "word": "${VALUE}" } }
---
kind: ConfigMap
metadata: { name: settings }
data: { file: "${VALUE}" }
---
kind: Deployment
metadata: { name: web }
spec:
  template:
    spec:
      containers:
        - name: web
          image: shop/web:1.2
          args: [--word, ${VALUE}]
          command: [web, ${VALUE}]
          env: [{ name: WORD, value: ${VALUE} }]
          envFrom: [{ secretRef: { name: ${VALUE} } }]
---
kind: RequestAuthentication
metadata: { name: login }
spec:
  clientSecret: ${VALUE}
  apiKey: |
    ${PASSWORD}
  jwtRules: [{ issuer: https://user:${PASSWORD}@login.shop/x, fromHeaders: [{ name: x-login }] }]
`;

const text = (path: string, read: () => string): Source => ({ path, kind: 'text', read });
const planted: readonly Source[] = [
  text('status.json', () => JSON.stringify({ node: 'one', token: JWT, error: `refused: ${JWT}`, password: PASSWORD })),
  text('parts/agent.txt', () => `weft agent --token-file /run/weft/one/token --password ${PASSWORD}\nDB_PASSWORD=${PASSWORD}`),
  text('logs/control.log', () => `${KEY}\nINFO path=/buy?card=${VALUE} Authorization: Bearer ${JWT}\nSet-Cookie: id=${VALUE}\n`),
  text(`logs/${JWT}.log`, () => 'a file may be called anything'),
  text('logs/broken.log', () => {
    throw new Error(`no such file: postgres://admin:${PASSWORD}@db/x`);
  }),
  { path: 'config/mesh.yaml', kind: 'resources', read: () => RESOURCES },
  { path: 'config/broken.yaml', kind: 'resources', read: () => `kind: [Secret\nword: ${VALUE}` },
  { path: 'config/one.json', kind: 'resources', read: () => `{"kind":"Secret","stringData":{"word":"${VALUE}"}}` },
];

test('H20: none of the secrets that are planted in status, logs, command lines, names and resources is in a report', async () => {
  const files = await reportFiles(planted, 'Weft');
  const all = files.map((file) => `${file.path}\n${file.text}`).join('\n');
  for (const secret of [JWT, 'MIGHAgEAMBMG', PASSWORD, VALUE]) {
    const at = all.indexOf(secret);
    assert.equal(at, -1, all.slice(Math.max(0, at - 200), at + 100));
  }
});

test('H20: what a fault is found by stays, and what is missing is told with its reason', async () => {
  const files = new Map((await reportFiles(planted, 'Weft 1.0, made on …')).map((file) => [file.path, file.text]));
  const mesh = files.get('config/mesh.yaml') ?? '';
  for (const kept of [/name: database/, /image: shop\/web:1\.2/, /kind: RequestAuthentication/, /name: x-login/])
    assert.match(mesh, kept);
  assert.match(files.get('parts/agent.txt') ?? '', /--token-file \/run\/weft\/one\/token/);
  const readme = files.get('README.txt') ?? '';
  assert.match(readme, /^Weft 1\.0, made on …\n/);
  assert.match(readme, /\n {2}status\.json\n/);
  assert.match(readme, /Not there:\n {2}logs\/broken\.log: no such file: [^\n]*\n {2}config\/broken\.yaml: it is no valid YAML/);
});

test('H20: a text that is too long keeps its beginning and its end', async () => {
  const long = `first\n${'x'.repeat(REPORT.factCharactersMax)}\nlast`;
  const [, file] = await reportFiles([text('routes.txt', () => long)], 'Weft');
  assert.match(file?.text ?? '', /^first\n[\s\S]*characters are left out[\s\S]*\nlast$/);
  assert.ok((file?.text.length ?? 0) < REPORT.factCharactersMax + 100);
});
