import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import type { AgentStatus } from '#protocol/api/agent.ts';
import type { ControlStatus } from '#protocol/api/control.ts';
import { leaveMesh, type UninstallEffects, type UninstallOptions } from './uninstall.ts';

const OPTIONS: UninstallOptions = { runDir: '/run/weft', stateDir: '/var/lib/weft', bpffs: '/bpf', keepState: false };
const absent = (code: string) => async () => {
  throw new WeftError(code, 'does not answer');
};

type World = {
  /** Directory → names in it; a directory goes with its entry here. */
  directories?: Record<string, string[]>;
  nodes?: string[];
  /** Process id of the control plane; null: its socket is left, but nobody answers. */
  controlPid?: number | null;
  agents?: Record<string, { pid: number; slow?: boolean }>;
  /** What breaks, by the line it would have written. */
  breaks?: Record<string, Error>;
};

/** A machine that writes down what was done to it, in order. */
function machine({ directories = {}, nodes = [], controlPid, agents = {}, breaks = {} }: World) {
  const done: string[] = [];
  const told: string[] = [];
  const left = new Map(Object.entries(directories));
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
      return { status: async () => ({ pid: agent.pid }) as AgentStatus, cleanup: async () => note(`ask ${node} to clean up`) };
    },
    nodesBelow: () => nodes,
    exists: (path) => left.has(path) || sockets.has(path),
    entriesOf: (directory) => left.get(directory) ?? [],
    removeTree: (path) => {
      note(`remove ${path}`);
      left.delete(path);
    },
    removeIfEmpty: (directory) => left.get(directory)?.length === 0 && left.delete(directory),
    cleanupNode: async (node) => note(`clean up ${node}`),
    endsWithin: async (pid) => !Object.values(agents).some((agent) => agent.pid === pid && agent.slow),
    endProcess: async (pid) => note(`end ${pid}`),
    tell: (line) => void told.push(line),
  };
  return { effects, done, told, left };
}

const RUN_FILES = ['/run/weft/control.sock', '/run/weft/waypoints/discovery.sock', '/run/weft/waypoints'].map(
  (path) => `remove ${path}`,
);

test('waypoints end first, then nodes, the control plane, and the directories last', async () => {
  const { effects, done, told, left } = machine({
    directories: { '/run/weft': [], '/var/lib/weft': ['root-key.pem', 'registrations.json'] },
    nodes: ['b', 'a'],
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

test('a node has traces when it has a directory or pins, and is removed once', async () => {
  const { effects, done } = machine({ directories: { '/bpf/weft': ['pinned', 'both'] }, nodes: ['both', 'directory'] });
  await leaveMesh(OPTIONS, effects);
  assert.deepEqual(done, ['clean up both', 'clean up directory', 'clean up pinned']);
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
  const { effects, done } = machine({ directories: { '/run/weft': [] }, controlPid: null });
  await leaveMesh(OPTIONS, effects);
  assert.deepEqual(done, RUN_FILES);
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

test('a run directory with files of others stays', async () => {
  const { effects, told, left } = machine({ directories: { '/run/weft': ['notes.txt'] } });
  await leaveMesh(OPTIONS, effects);
  assert.deepEqual([told, [...left.keys()]], [['nothing to remove'], ['/run/weft']]);
});

for (const mark of ['root-key.pem', 'root-cert.pem', 'token-key.pem']) {
  test(`a state directory is known by ${mark}`, async () => {
    const { effects, done } = machine({ directories: { '/var/lib/weft': [mark] } });
    await leaveMesh(OPTIONS, effects);
    assert.deepEqual(done, ['remove /var/lib/weft']);
  });
}

test('a state directory that holds nothing goes, whoever made it', async () => {
  const { effects, told } = machine({ directories: { '/var/lib/weft': [] } });
  await leaveMesh(OPTIONS, effects);
  assert.deepEqual(told, ['/var/lib/weft: removed']);
});

test('a state directory that is kept is not looked at', async () => {
  const { effects, left } = machine({ directories: { '/var/lib/weft': ['root-key.pem'] } });
  await leaveMesh({ ...OPTIONS, keepState: true }, effects);
  assert.equal(left.has('/var/lib/weft'), true);
});

test('after a failure the rest is removed all the same, and every failure is told with a remedy', async () => {
  const broken = new Error('device busy');
  const { effects, done } = machine({
    directories: { '/var/lib/weft': ['thesis.tex'] },
    nodes: ['a', 'b'],
    breaks: { 'clean up a': broken },
  });
  await assert.rejects(leaveMesh(OPTIONS, effects), (error: unknown) => {
    assert.ok(error instanceof WeftError && error.cause instanceof AggregateError);
    assert.deepEqual([error.code, error.cause.errors[0]], ['WEFT_UNINSTALL', broken]);
    assert.equal(error.cause.errors[1].code, 'WEFT_STATE_FOREIGN');
    assert.match(error.remedy ?? '', /run weft uninstall again/);
    return true;
  });
  assert.deepEqual(done, ['clean up b']);
});
