import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '#main/weft-process.testing.ts';
import { comingEndpoint, controlEndpoint } from './control-access.ts';

/** The two files of an agent, as weft token and the state directory give them. */
function files(t: TestContext) {
  const directory = scratch(t);
  const rootFile = join(directory, 'root.pem');
  const tokenFile = join(directory, 'token');
  writeFileSync(rootFile, 'ROOT');
  writeFileSync(tokenFile, 'TOKEN\n');
  return { address: '10.0.0.1:15012', rootFile, tokenFile, serverName: null };
}

test('root and token are read anew for each connection, so both can be replaced under a running agent', async (t) => {
  const access = files(t);
  const endpoint = controlEndpoint(access);
  assert.deepEqual([await endpoint.rootsPem(), await endpoint.token()], ['ROOT', 'TOKEN\n']);
  writeFileSync(access.rootFile, 'NEW ROOT');
  writeFileSync(access.tokenFile, 'NEW TOKEN');
  assert.deepEqual([await endpoint.rootsPem(), await endpoint.token()], ['NEW ROOT', 'NEW TOKEN']);
  rmSync(access.tokenFile);
  await assert.rejects(endpoint.token(), { code: 'ENOENT' });
});

test('over TCP the certificate must have the dialled name, behind a unix socket the one that it always has', (t) => {
  const access = files(t);
  assert.equal(controlEndpoint(access).serverName, null);
  assert.equal(controlEndpoint({ ...access, address: 'unix:/run/weft/discovery.sock' }).serverName, 'localhost');
});

test('F18: where the control plane is dialled by another name than its certificate has, that is told', (t) => {
  const access = { ...files(t), serverName: 'istiod.istio-system.svc' };
  assert.equal(controlEndpoint(access).serverName, 'istiod.istio-system.svc');
  assert.equal(controlEndpoint({ ...access, address: 'unix:/run/istiod.sock' }).serverName, 'istiod.istio-system.svc');
});

const faults = [
  { name: 'a root that is absent', spoil: 'rootFile', text: null, remedy: /root-cert\.pem.*--control-root/ },
  { name: 'a root that is empty', spoil: 'rootFile', text: '', remedy: /root-cert\.pem/ },
  { name: 'a token that is absent', spoil: 'tokenFile', text: null, remedy: /weft token NODE/ },
  { name: 'a token of blanks', spoil: 'tokenFile', text: ' \n', remedy: /weft token/ },
] as const;
for (const { name, spoil, text, remedy } of faults) {
  test(`${name} is an error at the start, with how to get one`, (t) => {
    const access = files(t);
    if (text === null) rmSync(access[spoil]);
    else writeFileSync(access[spoil], text);
    assert.throws(() => controlEndpoint(access), { code: 'WEFT_CONTROL_FILE', remedy });
  });
}

test('where the files may come later, whoever asks waits for both of them, and for what is done with them first', async (t) => {
  const access = files(t);
  for (const path of [access.rootFile, access.tokenFile]) rmSync(path);
  const seen: string[] = [];
  const endpoint = comingEndpoint(access, 10_000, () => void seen.push('come'));
  const asked = endpoint.token().then((token) => void seen.push(token));
  writeFileSync(access.tokenFile, '');
  writeFileSync(access.rootFile, 'ROOT');
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual(seen, []);
  writeFileSync(access.tokenFile, 'TOKEN');
  await asked;
  assert.deepEqual(seen, ['come', 'TOKEN']);
  assert.equal(await endpoint.rootsPem(), 'ROOT');
});

test('files that do not come are told as those that are not there, to each who asks', async (t) => {
  const access = files(t);
  rmSync(access.tokenFile);
  const endpoint = comingEndpoint(access, 1, () => assert.fail('they never came'));
  for (const asked of [endpoint.token(), endpoint.rootsPem()])
    await assert.rejects(asked, { code: 'WEFT_CONTROL_FILE', message: /token of this node/ });
});
