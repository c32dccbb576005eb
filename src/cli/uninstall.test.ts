import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import type { MeshTraces } from '#model/instance/mark.ts';
import type { AgentStatus } from '#protocol/api/agent.ts';
import type { ControlStatus } from '#protocol/api/control.ts';
import { leaveMesh, type UninstallEffects, type UninstallOptions } from './uninstall.ts';

const OPTIONS: UninstallOptions = {
  runDir: '/run/weft',
  stateDir: '/var/lib/weft',
  bpffs: '/bpf',
  keepState: false,
  yes: true,
};
const absent = (code: string) => async () => {
  throw new WeftError(code, 'does not answer');
};

type World = {
  /** Directories that bear our mark, with what of others is in them. */
  marked?: Record<string, string[]>;
  found?: Partial<MeshTraces>;
  nodes?: string[];
  /** Process id of the control plane; null: its socket is left, but nobody answers. */
  controlPid?: number | null;
  agents?: Record<string, { pid: number; slow?: boolean; workloads?: number }>;
  /** What a person answers; null: there is none. */
  answer?: boolean | null;
  /** What breaks, by the line it would have written. */
  breaks?: Record<string, Error>;
};

/** A machine that writes down what was done to it, in order. */
function machine({ marked = {}, found = {}, nodes = [], controlPid, agents = {}, answer = null, breaks = {} }: World) {
  const done: string[] = [];
  const told: string[] = [];
  const asked: string[] = [];
  const left = new Map(Object.entries(marked));
  const sockets = new Set(controlPid === undefined ? [] : ['/run/weft/control.sock']);
  const note = (line: string): void => {
    if (breaks[line] !== undefined) throw breaks[line];
    done.push(line);
  };
  const effects: UninstallEffects = {
    control: {
      status: typeof controlPid === 'number' ? async () => ({ pid: controlPid }) as ControlStatus : absent('WEFT_NO_CONTROL'),
      stopWaypoints: async () => note('stop waypoints'),
    },
    agentOf: (node) => {
      const agent = agents[node];
      if (agent === undefined) return { status: absent('WEFT_NO_AGENT'), cleanup: absent('WEFT_NO_AGENT') };
      const status = { pid: agent.pid, enrolled: Array.from({ length: agent.workloads ?? 0 }) } as AgentStatus;
      return { status: async () => status, cleanup: async () => note(`ask ${node} to clean up`) };
    },
    look: () => ({
      nodes: nodes.map((node) => ({ node, populated: false })),
      others: [],
      orphans: [],
      runDir: left.has('/run/weft') ? 'ours' : 'absent',
      hasWaypoints: left.has('/run/weft/waypoints'),
      state: left.has('/var/lib/weft') ? { kind: 'ours', locked: false } : { kind: 'absent' },
      ...found,
    }),
    exists: (path) => left.has(path) || sockets.has(path),
    removeMarked: (directory) => {
      const others = left.get(directory);
      if (others === undefined) return [];
      note(`remove ${directory}`);
      if (others.length === 0) left.delete(directory);
      return others.map((name) => `${directory}/${name}`);
    },
    removeSocket: (path) => void sockets.delete(path),
    cleanupNode: async (node) => note(`clean up ${node}`),
    upEnds: async (node) => note(`wait for the end of what keeps ${node} up`),
    endsWithin: async (pid) => !Object.values(agents).some((agent) => agent.pid === pid && agent.slow),
    endProcess: async (pid) => note(`end ${pid}`),
    agree: async (question) => {
      asked.push(question);
      return answer;
    },
    tell: (line) => void told.push(line),
  };
  return { effects, done, told, asked, left };
}

const RUN_FILES = ['remove /run/weft/waypoints', 'remove /run/weft'];
const WHOLE = { '/run/weft': [], '/run/weft/waypoints': [], '/var/lib/weft': [] };

test('H1: waypoints end first, then nodes, the control plane, and the directories last', async () => {
  const { effects, done, told, left } = machine({
    marked: WHOLE,
    nodes: ['a', 'b'],
    controlPid: 7,
    agents: { a: { pid: 8 }, b: { pid: 9 } },
  });
  await leaveMesh(OPTIONS, effects);
  const nodes = ['ask a to clean up', 'ask b to clean up'];
  assert.deepEqual(done, ['stop waypoints', ...nodes, 'end 7', ...RUN_FILES, 'remove /var/lib/weft']);
  assert.deepEqual(told, [
    ...['node a: removed', 'node b: removed', 'control plane: ended'],
    ...['/run/weft: removed', '/var/lib/weft: removed'],
  ]);
  assert.equal(left.size, 0);
});

test('H1: a node whose agent is dead goes after what would start it anew', async () => {
  const { effects, done } = machine({ marked: WHOLE, nodes: ['a', 'b'], controlPid: 7, agents: { b: { pid: 9 } } });
  await leaveMesh(OPTIONS, effects);
  const dead = ['wait for the end of what keeps a up', 'clean up a'];
  assert.deepEqual(done, ['stop waypoints', 'ask b to clean up', 'end 7', ...dead, ...RUN_FILES, 'remove /var/lib/weft']);
});

test('H1: what lives is named, and ends only when that is wanted', async () => {
  const world: World = { marked: WHOLE, nodes: ['a'], controlPid: 7, agents: { a: { pid: 8, workloads: 3 } } };
  for (const answer of [null, false]) {
    const { effects, done } = machine({ ...world, answer });
    await assert.rejects(leaveMesh({ ...OPTIONS, yes: false }, effects), (error: unknown) => {
      assert.ok(error instanceof WeftError);
      assert.deepEqual([error.code, error.remedy?.includes('--yes')], ['WEFT_UNINSTALL_LIVES', true]);
      assert.match(error.message, /node a \(its agent has pid 8; workloads: 3\), the control plane \(pid 7\)/);
      return true;
    });
    assert.deepEqual(done, []);
  }
  const { effects, left, asked } = machine({ ...world, answer: true });
  await leaveMesh({ ...OPTIONS, yes: false }, effects);
  assert.deepEqual([left.size, asked.length], [0, 1]);
});

test('H1: workloads that outlived their agent live, too', async () => {
  const { effects, done } = machine({ found: { nodes: [{ node: 'a', populated: true }] } });
  await assert.rejects(leaveMesh({ ...OPTIONS, yes: false }, effects), { code: 'WEFT_UNINSTALL_LIVES' });
  assert.deepEqual(done, []);
});

test('H1: where only the dead are, nobody is asked', async () => {
  const { effects, asked, left } = machine({ marked: WHOLE, nodes: ['a'], controlPid: null });
  await leaveMesh({ ...OPTIONS, yes: false }, effects);
  assert.deepEqual([asked, left.size], [[], 0]);
});

test('H1: what is not of this mesh is told with its owner, and left', async () => {
  const { effects, done, told } = machine({
    found: {
      others: [{ node: 'b', runDir: '/run/other' }],
      orphans: ['c'],
      runDir: 'foreign',
      state: { kind: 'other', runDir: '/run/other' },
    },
  });
  await leaveMesh(OPTIONS, effects);
  assert.deepEqual(done, []);
  assert.deepEqual(told, [
    'left: node b, which belongs to /run/other',
    'left: the pins of node c: nothing tells whose it is (weft agent --node c --cleanup)',
    'left: /run/weft, which bears no mark of Weft',
    'left: /var/lib/weft, which belongs to the control plane of /run/other',
    'nothing to remove',
  ]);
});

test('H1: a state directory that a control plane still uses stays, and that is told', async () => {
  const { effects, done } = machine({ marked: WHOLE, found: { state: { kind: 'ours', locked: true } } });
  await assert.rejects(leaveMesh(OPTIONS, effects), (error: unknown) => {
    assert.ok(error instanceof WeftError && error.cause instanceof AggregateError);
    assert.equal(error.cause.errors[0].code, 'WEFT_STATE_HELD');
    return true;
  });
  assert.deepEqual(done, RUN_FILES);
});

test('an agent that does not end in time is ended, and its node cleaned up for it', async () => {
  const { effects, done } = machine({ nodes: ['a'], agents: { a: { pid: 8, slow: true } } });
  await leaveMesh(OPTIONS, effects);
  assert.deepEqual(done, ['ask a to clean up', 'end 8', 'clean up a']);
});

test('where nothing is, that is told, and nothing is done', async () => {
  const { effects, done, told } = machine({});
  await leaveMesh(OPTIONS, effects);
  assert.deepEqual([done, told], [[], ['nothing to remove']]);
});

test('a socket that nobody answers at is no control plane', async () => {
  const { effects, done } = machine({ marked: { '/run/weft': [] }, controlPid: null });
  await leaveMesh(OPTIONS, effects);
  assert.deepEqual(done, ['remove /run/weft']);
});

test('a control plane that answers something else is an error before anything is touched', async () => {
  const { effects, done } = machine({ nodes: ['a'], controlPid: 7 });
  const denied = new WeftError('WEFT_NOT_ROOT', 'you may not speak to it');
  effects.control.status = async () => {
    throw denied;
  };
  await assert.rejects(leaveMesh(OPTIONS, effects), denied);
  assert.deepEqual(done, []);
});

test('waypoints that do not end keep nothing else from ending', async () => {
  const { effects, done } = machine({ controlPid: 7, breaks: { 'stop waypoints': new Error('busy') } });
  await leaveMesh(OPTIONS, effects);
  assert.deepEqual(done, ['end 7']);
});

test('a state directory that is kept is not looked at', async () => {
  const { effects, left } = machine({ marked: { '/var/lib/weft': [] } });
  await leaveMesh({ ...OPTIONS, keepState: true }, effects);
  assert.equal(left.has('/var/lib/weft'), true);
});

test('after a failure the rest is removed all the same, and every failure is told with a remedy', async () => {
  const broken = new Error('device busy');
  const { effects, done } = machine({
    marked: { '/var/lib/weft': ['thesis.tex'] },
    nodes: ['a', 'b'],
    breaks: { 'clean up a': broken },
  });
  await assert.rejects(leaveMesh(OPTIONS, effects), (error: unknown) => {
    assert.ok(error instanceof WeftError && error.cause instanceof AggregateError);
    assert.deepEqual([error.code, error.cause.errors[0]], ['WEFT_UNINSTALL', broken]);
    assert.equal(error.cause.errors[1].code, 'WEFT_FILES_LEFT');
    assert.match(error.cause.errors[1].message, /thesis\.tex/);
    assert.match(error.remedy ?? '', /run weft uninstall again/);
    return true;
  });
  const waited = ['a', 'b'].map((node) => `wait for the end of what keeps ${node} up`);
  assert.deepEqual(done, [...waited, 'clean up b', 'remove /var/lib/weft']);
});
