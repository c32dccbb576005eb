import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEPT } from '#model/rights/capabilities.ts';
import { chooseRun, rightsBeside, variablesFor } from './exec.ts';

const run = (name: string, node: string, pid: number) => ({ name, namespace: 'default', serviceAccount: name, node, pid });
const RUNS = [run('web', 'alpha', 1), run('web', 'beta', 2), run('api', 'beta', 3)];

test('H15: weft exec enters the one that is named, and guesses none', () => {
  const asked = { name: 'api', namespace: 'default', node: null };
  assert.equal(chooseRun(asked, RUNS).pid, 3);
  assert.equal(chooseRun({ ...asked, name: 'web', node: 'beta' }, RUNS).pid, 2);
  assert.throws(() => chooseRun({ ...asked, name: 'web' }, RUNS), { code: 'WEFT_WHICH_AGENT' });
  for (const change of [{ name: 'x' }, { namespace: 'shop' }, { node: 'alpha' }])
    assert.throws(() => chooseRun({ ...asked, ...change }, RUNS), { code: 'WEFT_NO_WORKLOAD' });
});

test('H15: nobody gets more rights beside a workload than it has', () => {
  const account = { uid: 1_000, gid: 1_000, groups: [], name: null, home: '/' };
  assert.deepEqual(rightsBeside(account, KEPT), {
    rights: { account, capabilities: KEPT, ambient: ['NET_BIND_SERVICE'] },
    added: [],
  });
  const raw = rightsBeside(account, [...KEPT, 'NET_RAW']);
  assert.deepEqual([raw.added, raw.rights.ambient], [['NET_RAW'], ['NET_BIND_SERVICE', 'NET_RAW']]);
  assert.deepEqual(rightsBeside({ ...account, uid: 0 }, KEPT).rights.ambient, []);
  assert.deepEqual(rightsBeside(account, []).rights.ambient, []);
});

test('H15: variables of a workload go with who enters it, but for those of its command alone', () => {
  const env = { A: '1', HOME: '/srv', USER: 'web', LISTEN_FDS: '1', PWD: '/srv' };
  assert.deepEqual(variablesFor(env, false), { A: '1', HOME: '/srv', USER: 'web' });
  assert.deepEqual(variablesFor(env, true), { A: '1' });
});
