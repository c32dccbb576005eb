import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeftError } from '#model/error.ts';
import { workloadRights } from '#model/rights/rights.ts';
import { findAccount, setprivArgv } from './rights.ts';

/** A machine with one user in three groups. */
const machine = async (program: string, args: readonly string[]) => {
  const known: Record<string, string> = {
    'getent passwd app': 'app:x:1000:1001:App:/home/app:/bin/sh\n',
    'getent passwd 1000': 'app:x:1000:1001:App:/home/app:/bin/sh\n',
    'getent group web': 'web:x:33:\n',
    'id -G -- app': '1001 33 4\n',
  };
  const stdout = known[[program.split('/').at(-1), ...args].join(' ')];
  return stdout === undefined ? ({ kind: 'failed', stderr: '' } as const) : ({ kind: 'done', stdout } as const);
};

const app = { uid: 1000, gid: 1001, groups: [1001, 33, 4], name: 'app', home: '/home/app' };
for (const { user, group, want } of [
  { user: 'app', group: null, want: app },
  { user: '1000', group: null, want: app },
  { user: 'app', group: 'web', want: { ...app, gid: 33, groups: [] } },
  { user: 'app', group: '50', want: { ...app, gid: 50, groups: [] } },
  { user: '7000', group: null, want: { uid: 7000, gid: 7000, groups: [], name: null, home: '/' } },
  { user: '7000', group: 'web', want: { uid: 7000, gid: 33, groups: [], name: null, home: '/' } },
])
  test(`user ${user}, group ${group}`, async () => assert.deepEqual(await findAccount({ user, group }, machine), want));

for (const [user, group] of [
  ['nobody-here', null],
  ['app', 'no-group'],
] as const)
  test(`unknown: ${user}, ${group}`, () =>
    assert.rejects(
      findAccount({ user, group }, machine),
      (error) => error instanceof WeftError && error.code === 'WEFT_NO_USER',
    ));

test('root of this machine is user 0', async () => {
  const { uid, gid, name } = await findAccount({ user: 'root', group: null });
  assert.deepEqual([uid, gid, name], [0, 0, 'root']);
});

for (const { name, rights, want } of [
  {
    name: 'as who calls',
    rights: workloadRights(null, ['NET_RAW']),
    want: [
      ...bounded('chown,dac_override,fowner,fsetid,kill,net_bind_service,net_raw,setgid,setuid,sys_chroot'),
      '--inh-caps=-all',
      '--ambient-caps=-all',
    ],
  },
  {
    name: 'a user with groups',
    rights: { account: app, capabilities: ['NET_BIND_SERVICE'], ambient: ['NET_BIND_SERVICE'] } as const,
    want: [
      ...['--reuid=1000', '--regid=1001', '--groups=1001,33,4', ...bounded('net_bind_service')],
      ...['--inh-caps=-all,+net_bind_service', '--ambient-caps=-all,+net_bind_service'],
    ],
  },
  {
    name: 'nothing at all, without groups',
    rights: { account: { ...app, groups: [] }, capabilities: [], ambient: [] },
    want: ['--reuid=1000', '--regid=1001', '--clear-groups', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all'],
  },
])
  test(`the command line that gives up rights: ${name}`, () => {
    assert.deepEqual(setprivArgv('/bin/setpriv', rights), ['/bin/setpriv', '--no-new-privs', ...want, '--']);
  });

function bounded(names: string): string[] {
  return [
    `--bounding-set=-all,${names
      .split(',')
      .map((name) => `+${name}`)
      .join(',')}`,
  ];
}
