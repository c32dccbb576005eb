import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { servePlugin } from '#platform/cni/serve-plugin.ts';
import { WEFT_ROOT } from '#platform/program/installation.ts';
import { NAMESPACES_FILE, namespacesText, PASS_REPLY, PLUGIN_SOCKET, readAddRequest, refusal } from '#protocol/cni/messages.ts';

const PROGRAM = join(WEFT_ROOT, 'build/cni/weft-cni');
const SKIP =
  process.getuid?.() !== 0 || !existsSync(PROGRAM) ? 'WEFT-CNI IS NOT TESTED HERE: it needs root and scripts/build-cni' : false;

/** Odd, and to come out as it went in. */
const RESULT = '{ "ips" : [{"address":"10.1.0.2/24","big":1152921504606846976}],\n\t"u":"\\u00e9\\"}]","empty":{} , "none":null}';
const podArgs = (namespace: string): string => `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=web;K8S_POD_UID=u1`;
const configOf = (version: string, result = RESULT): string =>
  `{"name":"n","cniVersion":"${version}", "prevResult" : ${result},"type":"weft-cni"}`;
const HEARD_MS = 10_000;

type Ended = { code: number | null; out: string; ms: number };

describe('weft-cni, alone in an empty folder that is its root', { skip: SKIP }, () => {
  const root = mkdtempSync(join(tmpdir(), 'weft-cni-'));
  let close = (): void => {};
  if (SKIP === false) {
    copyFileSync(PROGRAM, join(root, 'weft-cni'));
    chmodSync(join(root, 'weft-cni'), 0o755);
  }
  after(() => {
    close();
    rmSync(root, { recursive: true, force: true });
  });

  const serve = async (answer: (request: string) => Promise<string | null>): Promise<void> => {
    close();
    close = await servePlugin(join(root, PLUGIN_SOCKET), answer);
  };
  const away = (): void => {
    close();
    rmSync(join(root, PLUGIN_SOCKET), { force: true });
  };
  /** The text as it is there; null: there is none. */
  const list = (text: string | null): void => {
    const path = join(root, NAMESPACES_FILE);
    rmSync(path, { force: true });
    mkdirSync(join(path, '..'), { recursive: true });
    if (text !== null) writeFileSync(path, text);
  };
  const start = (env: Record<string, string>, input: string): { child: ChildProcess; ended: Promise<Ended> } => {
    const startMs = performance.now();
    const child = spawn('chroot', [root, '/weft-cni'], {
      env: { PATH: process.env.PATH ?? '', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk.toString('latin1');
    });
    child.stdin?.on('error', () => {}); // it need not read
    child.stdin?.end(input);
    const ended = new Promise<Ended>((resolve) =>
      child.on('close', (code) => resolve({ code, out, ms: performance.now() - startMs })),
    );
    return { child, ended };
  };
  const run = (env: Record<string, string>, input: string): Promise<Ended> => start(env, input).ended;
  const add = (namespace: string, input = configOf('1.0.0')): Promise<Ended> =>
    run(
      {
        CNI_COMMAND: 'ADD',
        CNI_NETNS: '/var/run/netns/x',
        CNI_CONTAINERID: 'c1',
        CNI_IFNAME: 'eth0',
        CNI_ARGS: podArgs(namespace),
      },
      input,
    );

  test('K13, K15: what came from the plugins before goes on byte for byte, in every version', async () => {
    const heard: string[] = [];
    await serve(async (request) => {
      heard.push(request);
      return PASS_REPLY;
    });
    for (const version of ['0.3.1', '0.4.0', '1.0.0', '1.1.0'])
      assert.deepEqual((await add('shop', configOf(version))).out, RESULT, version);
    const { pod, netnsPaths, addresses } = readAddRequest(heard[0] ?? '');
    assert.deepEqual(
      [pod, netnsPaths[0], addresses],
      [{ namespace: 'shop', name: 'web', uid: 'u1' }, '/run/netns/x', ['10.1.0.2']],
    );
  });

  test('what the agent refuses fails with its words', async () => {
    await serve(async () => refusal('1.0.0', 'no "room"'));
    const { code, out } = await add('shop');
    assert.deepEqual([code, JSON.parse(out)], [1, { cniVersion: '1.0.0', code: 11, msg: 'no "room"' }]);
  });

  test('K23: an answer of another version, or none that can be understood, lets no pod start', async () => {
    await serve(async () => 'weft-cni 2 pass\n');
    assert.match((await add('shop')).out, /"code":11,"msg":"the agent of Weft on this node is not of the version/);
    await serve(async () => `${PASS_REPLY}x`);
    assert.equal((await add('shop')).code, 1);
  });

  test('K17, K19: without an agent pods start that nobody can mean: of other namespaces, and of those that are never in the mesh', async () => {
    away();
    list(namespacesText(['shop', 'bank']));
    for (const namespace of ['other', 'kube-system', 'istio-system']) assert.equal((await add(namespace)).out, RESULT, namespace);
    list(null);
    assert.equal((await add('kube-system')).out, RESULT);
    assert.equal((await run({ CNI_COMMAND: 'ADD', CNI_ARGS: 'IgnoreUnknown=1' }, configOf('1.0.0'))).out, RESULT, 'no pod');
  });

  for (const [name, text] of Object.entries({
    'names their namespace': namespacesText(['bank', 'shop']),
    'is not there (K18)': null,
    'is empty': '',
    'breaks off': namespacesText(['bank']).slice(0, -2),
    'is of another version': namespacesText([]).replace('1', '2'),
  })) {
    test(`without an agent a pod waits for one if the list of namespaces ${name}`, async () => {
      away();
      list(text);
      const { child, ended } = start(
        { CNI_COMMAND: 'ADD', CNI_NETNS: '/var/run/netns/x', CNI_ARGS: podArgs('shop') },
        configOf('1.0.0'),
      );
      const early = await Promise.race([ended, new Promise<null>((resolve) => setTimeout(() => resolve(null), 600))]);
      assert.equal(early, null, JSON.stringify(early));
      await serve(async () => PASS_REPLY);
      assert.equal((await ended).out, RESULT);
      assert.equal(child.exitCode, 0);
    });
  }

  test('an agent that hands over answers nothing, and the next one is asked', async () => {
    list(namespacesText(['shop']));
    let asked = 0;
    const { promise: heard, resolve } = Promise.withResolvers<void>();
    await serve(async () => {
      if (++asked === 2) resolve();
      return asked > 2 ? PASS_REPLY : null;
    });
    const ended = add('shop');
    await Promise.race([
      heard,
      new Promise((_, reject) => setTimeout(() => reject(new Error('it was asked once')), HEARD_MS).unref()),
    ]);
    assert.equal((await ended).out, RESULT);
  });

  test('K11, K12: everything but ADD succeeds without an agent, says nothing, and is quick', async () => {
    away();
    list(null);
    for (const command of ['DEL', 'CHECK', 'STATUS', 'GC', '']) {
      const { code, out, ms } = await run({ CNI_COMMAND: command, CNI_ARGS: podArgs('shop') }, configOf('1.0.0'));
      assert.deepEqual([code, out], [0, ''], command);
      assert.ok(ms < 1_500, `${command} took ${ms} ms`);
    }
    const { supportedVersions } = JSON.parse((await run({ CNI_COMMAND: 'VERSION' }, '')).out) as { supportedVersions: string[] };
    assert.deepEqual(supportedVersions, ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']);
  });

  test('with --ready it says what an agent says of itself on its socket, and fails unless that is that it is ready', async () => {
    const probe = async (): Promise<[number | null, string]> => {
      const child = spawn('chroot', [root, '/weft-cni', '--ready', '/ready.sock'], { stdio: ['ignore', 'pipe', 'inherit'] });
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk;
      });
      return new Promise((resolve) => child.on('close', (code) => resolve([code, out])));
    };
    assert.deepEqual(await probe(), [1, 'the agent does not answer yet\n']);
    let says = 'not ready, pending: state manager\n';
    const end = await servePlugin(join(root, 'ready.sock'), async () => says);
    assert.deepEqual(await probe(), [1, says]);
    says = 'ready\n';
    assert.deepEqual(await probe(), [0, says]);
    end();
  });

  for (const [name, input] of Object.entries({
    nothing: '',
    'half an object': '{"prevResult":{}',
    'an object and more': '{"prevResult":{}} {}',
    'a number that is none': '{"prevResult":{"a":01}}',
    'a string with a line in it': '{"prevResult":{"a":"\n"}}',
    'no result of others': '{"cniVersion":"1.0.0"}',
    'a result that is none': '{"prevResult":[]}',
    'a thousand brackets': `{"prevResult":{},"a":${'['.repeat(1_000)}`,
    'more than a mebibyte': `{"prevResult":{},"a":"${'x'.repeat(1 << 20)}"}`,
  })) {
    test(`a configuration that is ${name} fails, and says so in JSON`, async () => {
      const { code, out } = await add('kube-system', input);
      assert.equal(code, 1);
      const told = JSON.parse(out) as { code: number; msg: string };
      assert.ok([6, 7].includes(told.code) && told.msg !== '', out);
    });
  }
});
