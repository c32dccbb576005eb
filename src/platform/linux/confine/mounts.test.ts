import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWithin, lastingOptions, namesOf, parseMountinfo } from './mounts.ts';

const TEXT = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
43 27 254:0 /run/netns /run/netns rw,relatime shared:1 - ext4 /dev/vda rw,discard
50 27 254:0 / /srv/chroot\\040a/host ro,nosuid,nodev - ext4 /dev/vda rw
51 27 254:0 /var/lib /mnt/lib rw - ext4 /dev/vda rw
52 27 254:0 /var/lib/weft/keys /mnt/keys rw - ext4 /dev/vda rw
53 27 8:1 / /data rw,noexec,relatime master:3 propagate_from:2 - xfs /dev/sda1 rw
54 53 254:0 /var/cache /data/cache rw - ext4 /dev/vda rw
garbage
`;
const mounts = parseMountinfo(TEXT);

test('a line is read whatever optional fields it has, and names are unescaped', () => {
  assert.equal(mounts.length, 8);
  assert.deepEqual(mounts[3]?.point, '/srv/chroot a/host');
  assert.deepEqual(mounts[6], {
    device: '8:1',
    root: '/',
    point: '/data',
    options: ['rw', 'noexec', 'relatime'],
    type: 'xfs',
    superOptions: ['rw'],
  });
});

for (const { path, want } of [
  {
    path: '/var/lib/weft',
    want: ['/var/lib/weft', '/srv/chroot a/host/var/lib/weft', '/mnt/lib/weft', '/mnt/keys'],
  },
  { path: '/data/secret', want: ['/data/secret'] },
  { path: '/run/weft', want: ['/run/weft', '/srv/chroot a/host/run/weft'] },
  { path: '/data/cache/x', want: ['/data/cache/x', '/var/cache/x', '/srv/chroot a/host/var/cache/x'] },
  { path: '/mnt/keys', want: ['/mnt/keys', '/var/lib/weft/keys', '/srv/chroot a/host/var/lib/weft/keys', '/mnt/lib/weft/keys'] },
])
  test(`every name of ${path}`, () => assert.deepEqual(namesOf(path, mounts).sort(), [...want].sort()));

test('without a mount table a path has its own name', () => assert.deepEqual(namesOf('/a', []), ['/a']));

for (const [path, directory, want] of [
  ['/a/b', '/a', true],
  ['/a', '/a', true],
  ['/ab', '/a', false],
  ['/a', '/', true],
  ['/', '/a', false],
] as const)
  test(`${path} within ${directory}: ${want}`, () => assert.equal(isWithin(path, directory), want));

test('a remount says again what it would lose', () => {
  assert.deepEqual(lastingOptions(mounts[3]), ['nosuid', 'nodev']);
  assert.deepEqual(lastingOptions(undefined), []);
});
