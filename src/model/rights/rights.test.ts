import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CAPABILITIES, KEPT, readCapability } from './capabilities.ts';
import { environmentOf, readUserText, usualUser, WAYPOINT_RIGHTS, workloadRights } from './rights.ts';

const APP = { uid: 1000, gid: 1000, groups: [1000], name: 'app', home: '/home/app' };

test('a workload keeps what servers need, and nothing that opens the machine or the network', () => {
  assert.deepEqual(
    [...KEPT],
    ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'NET_BIND_SERVICE', 'SETGID', 'SETUID', 'SYS_CHROOT'].sort(
      (a, b) => at(a) - at(b),
    ),
  );
  for (const name of KEPT) assert.equal(CAPABILITIES[name].leaves, false);
});

const at = (name: string): number => Object.keys(CAPABILITIES).indexOf(name);

test('H7: who says nothing runs a workload as who called sudo, or as nobody, and never as root', () => {
  assert.deepEqual(usualUser({ SUDO_UID: '1000', SUDO_USER: 'app' }), { user: '1000', group: null });
  for (const env of [{}, { SUDO_UID: '0' }, { SUDO_UID: '00' }, { SUDO_UID: 'root' }, { SUDO_UID: '' }])
    assert.equal(usualUser(env).user, 'nobody');
});

test('the table is that of the kernel, in its order', () => {
  // Fixed by include/uapi/linux/capability.h: CAP_LAST_CAP is CHECKPOINT_RESTORE, 40.
  assert.deepEqual(['CHOWN', 'NET_ADMIN', 'SYS_ADMIN', 'BPF', 'CHECKPOINT_RESTORE'].map(at), [0, 12, 21, 39, 40]);
  assert.equal(Object.keys(CAPABILITIES).length, 41);
});

for (const { text, name } of [
  { text: 'NET_RAW', name: 'NET_RAW' },
  { text: 'cap_net_raw', name: 'NET_RAW' },
  { text: 'Cap_Net_Raw', name: 'NET_RAW' },
  { text: 'ALL', name: null },
  { text: 'CAP_CAP_NET_RAW', name: null },
  { text: 'toString', name: null },
  { text: '', name: null },
])
  test(`capability "${text}": ${name}`, () => assert.equal(readCapability(text), name));

for (const { text, want } of [
  { text: 'www-data', want: { user: 'www-data', group: null } },
  { text: '1000', want: { user: '1000', group: null } },
  { text: 'app:web', want: { user: 'app', group: 'web' } },
  { text: '0:0', want: { user: '0', group: '0' } },
  { text: '_apt', want: { user: '_apt', group: null } },
  { text: 'machine$', want: { user: 'machine$', group: null } },
  { text: '', want: null },
  { text: ':', want: null },
  { text: 'a:', want: null },
  { text: ':a', want: null },
  { text: 'a:b:c', want: null },
  { text: '-1', want: null },
  { text: '--root', want: null },
  { text: '4294967295', want: null },
  { text: '4294967294', want: { user: '4294967294', group: null } },
  { text: 'a b', want: null },
  { text: '1e3', want: null },
])
  test(`user "${text}"`, () => assert.deepEqual(readUserText(text), want));

test('who is not root has a low port and what was asked for by name; root has no ambient capability', () => {
  assert.deepEqual(workloadRights(APP, ['NET_RAW']).ambient, ['NET_BIND_SERVICE', 'NET_RAW']);
  assert.deepEqual(workloadRights({ ...APP, uid: 0 }, ['NET_RAW']).ambient, []);
  assert.deepEqual(workloadRights(null, ['NET_RAW', 'CHOWN']).capabilities, [...KEPT, 'NET_RAW'].sort());
});

test('the environment names the user, as far as he has a name', () => {
  assert.deepEqual(environmentOf(workloadRights(APP, [])), { HOME: '/home/app', USER: 'app', LOGNAME: 'app' });
  assert.deepEqual(environmentOf(workloadRights({ ...APP, name: null, home: '/' }, [])), { HOME: '/' });
  assert.deepEqual(environmentOf(WAYPOINT_RIGHTS), {});
});
