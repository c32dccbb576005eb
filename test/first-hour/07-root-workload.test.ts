import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { agentClient } from '#platform/local-api/clients.ts';
import { ROOT, WEFT } from '../e2e/programs.testing.ts';
import { Host } from './host.testing.ts';

/** What a test says to the workload, which says what came of it, by lines. */
type Way = { name: string; script: string; outcome: RegExp };

/** The steps of the README and the guide, and the examples: what a person is likely to copy. */
function documents(): { path: string; text: string }[] {
  const paths = ['README.md', 'examples/quickstart/README.md', 'examples/bookshop/README.md'];
  for (const folder of ['docs', 'docs/guide'])
    for (const name of readdirSync(join(ROOT, folder))) if (name.endsWith('.md')) paths.push(join(folder, name));
  return paths.flatMap((path) => {
    try {
      return [{ path, text: readFileSync(join(ROOT, path), 'utf8') }];
    } catch {
      return []; // an example without words
    }
  });
}

describe('a workload of root', () => {
  const host = new Host();
  let agentPid = 0;
  let neighbour = '';
  before(async () => {
    await host.up();
    const other = await host.run('neighbour', ['sh', '-c', 'echo here; while :; do sleep 0.05; done']);
    await other.until(/here/);
    const status = await agentClient(host.agentSocket).status();
    agentPid = status.pid;
    neighbour = status.enrolled[0]?.addresses[0] ?? '';
  });
  after(() => host.close());

  test('H7: finds no key, no token and no socket of the mesh, enters no namespace, and makes no token', async () => {
    const { stateDir, runDir, node, agentSocket } = host;
    const nothing = /^(No such file or directory|Permission denied|empty)$/;
    const reading = (path: string): string => `cat ${path} 2>&1 >/dev/null | sed 's/.*: //'`;
    const ways: Way[] = [
      { name: 'it is root', script: 'id -u', outcome: /^0$/ },
      { name: 'the key', script: reading(join(stateDir, 'root-key.pem')), outcome: nothing },
      { name: 'the key of tokens', script: reading(join(stateDir, 'token-key.pem')), outcome: nothing },
      { name: 'the state', script: `[ -z "$(ls -A ${stateDir} 2>/dev/null)" ] && echo empty`, outcome: nothing },
      { name: 'the run directory', script: `[ -z "$(ls -A ${runDir} 2>/dev/null)" ] && echo empty`, outcome: nothing },
      { name: 'the token of the node', script: reading(join(runDir, node, 'token')), outcome: nothing },
      {
        name: 'the same through the root of each process',
        script: `[ -z "$(cat /proc/*/root${stateDir}/root-key.pem /proc/*/root${runDir}/${node}/token 2>/dev/null)" ] && echo empty`,
        outcome: nothing,
      },
      {
        name: 'what is registered as secret',
        script: 'ls -A /run/weft-private /run/weft-nodes 2>/dev/null; echo empty',
        outcome: nothing,
      },
      {
        name: 'names of namespaces',
        script: '[ -z "$(ls -A /run/netns /var/run/netns 2>/dev/null)" ] && echo empty',
        outcome: nothing,
      },
      {
        name: 'the agent’s namespace',
        script: `nsenter --net=/proc/${agentPid}/ns/net true 2>&1 | sed 's/.*: //'`,
        outcome: /^(No such file or directory|Operation not permitted)$/,
      },
      {
        name: 'any namespace that it can see',
        script: 'for ns in /proc/[0-9]*/ns/net; do nsenter --net=$ns true 2>&1; done | sed "s/.*: //" | sort -u',
        outcome: /^Operation not permitted$/,
      },
      {
        name: 'a mount of its own',
        script: 'mount -t tmpfs none /mnt 2>&1 | grep -o "permission denied"',
        outcome: /^permission denied$/,
      },
      {
        name: 'processes of the machine',
        script: `kill -0 ${agentPid} 2>&1 | grep -o "No such process"`,
        outcome: /^No such process$/,
      },
      {
        name: 'the agent’s socket',
        script: `curl -sS -m 3 --unix-socket ${agentSocket} http://weft/v1/status 2>&1 | grep -o "(7)"`,
        outcome: /^\(7\)$/,
      },
      {
        name: 'the control plane’s socket',
        script: `curl -sS -m 3 --unix-socket ${runDir}/control.sock http://weft/v1/status 2>&1 | grep -o "(7)"`,
        outcome: /^\(7\)$/,
      },
      {
        name: 'a token',
        script: `${WEFT} token other --identity '*/*' --socket ${runDir}/control.sock 2>&1 | grep -o "WEFT_[A-Z_]*"`,
        outcome: /^WEFT_NO_CONTROL$/,
      },
      {
        name: 'a workload of another identity',
        script: `${WEFT} run --user root --agent-socket ${agentSocket} --name x --service-account neighbour -- true 2>&1 | grep -o "WEFT_[A-Z_]*" | head -n 1`,
        outcome: /^WEFT_NO_AGENT$/,
      },
      {
        name: 'an address of a neighbour',
        script: `ip addr add ${neighbour}/32 dev lo 2>&1 | grep -o "not permitted"`,
        outcome: /^not permitted$/,
      },
    ];
    const script = ways.map(({ script }, at) => `printf '${at}='; (${script}) | tr '\\n' ' '; echo`).join('\n');
    const tried = await host.run('root', ['sh', '-c', script], '--user', 'root');
    await tried.ended;
    for (const [at, { name, outcome }] of ways.entries()) {
      const [, said = null] = new RegExp(`^${at}=(.*)$`, 'm').exec(tried.output()) ?? [];
      assert.match(said?.trim() ?? 'it said nothing', outcome, `${name}: ${tried.output()}`);
    }
  });

  test('H7: is one only by name: who says nothing runs a workload as who called sudo, or as nobody', async () => {
    const run = [WEFT, 'run', '--agent-socket', host.agentSocket, '--name', 'who', '--service-account', 'who', '--', 'id', '-u'];
    const plain = await host.start('env', '-u', 'SUDO_UID', ...run);
    assert.equal(await plain.ended, 0, plain.output());
    assert.match(plain.output(), /^65534$/m);
    const sudo = await host.start('env', 'SUDO_UID=1', ...run);
    assert.equal(await sudo.ended, 0, sudo.output());
    assert.match(sudo.output(), /^1$/m);
  });

  test('H7: tokens name their node and end within days', async () => {
    const claimsOf = (token: string): Record<string, unknown> =>
      JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    const own = claimsOf(readFileSync(join(host.runDir, host.node, 'token'), 'utf8'));
    const { text } = await host.said('token', 'other', '--identity', 'shop/*', '--socket', join(host.runDir, 'control.sock'));
    const other = claimsOf(text.split('\n').find((line) => line.startsWith('ey')) ?? '');
    for (const [claims, node, days] of [
      [own, host.node, 3],
      [other, 'other', 30],
    ] as const) {
      assert.equal(claims.node, node);
      assert.ok(Number(claims.exp) - Number(claims.iat) <= days * 86_400, JSON.stringify(claims));
    }
    assert.deepEqual((other.grant as { identities: unknown }).identities, ['shop/*']);
  });

  test('H7: every example of the documents says whom the workload runs as', () => {
    const examples = documents().flatMap(({ path, text }) =>
      text
        .replaceAll(/\\\n\s*/g, ' ')
        .split('\n')
        .filter((line) => /\bweft run\b.* -- /.test(line) && !/<name>/.test(line))
        .map((line) => ({ path, line })),
    );
    assert.ok(examples.length >= 10, `${examples.length} examples`);
    for (const { path, line } of examples) assert.match(line, /--user /, path);
  });
});
