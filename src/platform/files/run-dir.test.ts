import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { type AgentChoice, chooseAgentSocket } from '#cli/run.ts';
import { agentsBelow, nodesBelow } from './run-dir.ts';

const choose = (choice: AgentChoice): string => chooseAgentSocket(choice, () => agentsBelow(choice.runDir));

const root = mkdtempSync(join(tmpdir(), 'weft-run-dir-'));
after(() => rmSync(root, { recursive: true }));

function runDirWith(name: string, nodes: readonly string[]): string {
  const runDir = join(root, name);
  mkdirSync(runDir);
  writeFileSync(join(runDir, 'control.sock'), '');
  for (const node of nodes) {
    mkdirSync(join(runDir, node));
    if (!node.startsWith('dead')) writeFileSync(join(runDir, node, 'agent.sock'), '');
  }
  return runDir;
}

const nobody = runDirWith('nobody', []);
const dead = runDirWith('dead', ['dead-1']);
const one = runDirWith('one', ['dead-1', 'node-1']);
const two = runDirWith('two', ['node-2', 'node-1']);

const cases = [
  { name: 'the only agent is chosen', runDir: one, node: null, want: join(one, 'node-1/agent.sock') },
  { name: 'a node is chosen by name', runDir: two, node: 'node-2', want: join(two, 'node-2/agent.sock') },
];
for (const { name, runDir, node, want } of cases) {
  test(name, () => assert.equal(choose({ agentSocket: null, node, runDir }), want));
}

const refusals = [
  { name: 'no agent', runDir: nobody, node: null, code: 'WEFT_NO_AGENT', remedy: /weft up/ },
  { name: 'no such directory', runDir: join(root, 'absent'), node: null, code: 'WEFT_NO_AGENT', remedy: /weft up/ },
  { name: 'an agent without a socket', runDir: dead, node: null, code: 'WEFT_NO_AGENT', remedy: /weft up/ },
  { name: 'several agents', runDir: two, node: null, code: 'WEFT_WHICH_AGENT', remedy: /--node/ },
  { name: 'an unknown node', runDir: two, node: 'node-3', code: 'WEFT_NO_AGENT', remedy: /node-1, node-2/ },
];
for (const { name, runDir, node, code, remedy } of refusals) {
  test(`${name}: refused with ${code}`, () => {
    assert.throws(() => choose({ agentSocket: null, node, runDir }), { code, remedy });
  });
}

test('a given socket is used as it is', () => {
  assert.equal(choose({ agentSocket: '/tmp/a.sock', node: null, runDir: nobody }), '/tmp/a.sock');
});

test('nodes that left a directory are found too, sorted', () => {
  assert.deepEqual(
    nodesBelow(one).map(({ node, socketExists }) => [node, socketExists]),
    [
      ['dead-1', false],
      ['node-1', true],
    ],
  );
});
