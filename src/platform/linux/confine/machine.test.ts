import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WeftError } from '#model/error.ts';
import { machineSockets, readViewFacts, readWishes, sharable } from './machine.ts';

const TABLE = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 17020 /tmp/tmux-0/default
0000000000000000: 00000003 00000000 00000000 0001 03 17021
0000000000000000: 00000002 00000000 00010000 0001 01 17022 @/tmp/abstract
0000000000000000: 00000002 00000000 00010000 0001 01 17023 /run/docker.sock
0000000000000000: 00000002 00000000 00010000 0001 01 17024 /var/run/x.sock
0000000000000000: 00000002 00000000 00010000 0005 01 17025 /var/lib/lxd/unix socket
0000000000000000: 00000003 00000000 00000000 0001 03 17026 /tmp/tmux-0/default
0000000000000000: 00000002 00000000 00010000 0001 01 17027 relative.sock
0000000000000000: 00000002 00000000 00010000 0001 01 17028 /gone/x.sock`;

test('sockets of services outside of /run, each once, as far as they are there', () => {
  const found = machineSockets(TABLE, (path) => !path.startsWith('/gone'));
  assert.deepEqual(found, ['/tmp/tmux-0/default', '/var/lib/lxd/unix socket']);
});

const SECRETS = ['/run/weft', '/var/lib/weft', '/tmp/lab/token'];
for (const path of ['/run/php', '/dev/dri', '/etc/app', '/srv'])
  test(`may be shared: ${path}`, () =>
    assert.equal(
      sharable(path, SECRETS, (path) => path),
      path,
    ));
for (const path of [
  '/',
  '/run',
  '/dev',
  '/proc',
  '/proc/sys',
  '/sys',
  '/sys/fs/cgroup',
  '/var/lib',
  '/var/lib/weft',
  '/run/weft/a',
  '/tmp',
])
  test(`may not be shared: ${path}`, () =>
    assert.throws(
      () => sharable(path, SECRETS, (path) => path),
      (error) => error instanceof WeftError && error.code === 'WEFT_SHARE' && error.remedy !== undefined,
    ));
test('a link is judged by where it leads', () =>
  assert.throws(() => sharable('/link', SECRETS, () => '/run/weft'), /would show/));
test('what is not there cannot be shared', () => assert.throws(() => sharable('/no', SECRETS, () => null), /nothing is there/));

test('a working directory out of sight is told before anything starts', () => {
  const facts = readViewFacts();
  const wishes = { hidden: ['/usr/share'], shared: [], resolvConfPath: '/x' };
  assert.throws(() => readWishes({ ...wishes, cwd: '/usr/share/doc' }, facts), /working directory .* out of a workload's sight/);
  assert.throws(() => readWishes({ ...wishes, cwd: '/run' }, facts), /out of a workload's sight/);
  assert.ok(readWishes({ ...wishes, cwd: '/' }, facts).readOnly.includes('/etc'));
});
