import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { waitUntil } from '#testbed/processes/wait.ts';
import { AttackedMesh, serviceYaml } from '../security/mesh.testing.ts';

const VIP = { primary: '10.96.120.1', replica: '10.96.120.2' } as const;
const PORT = { primary: 6379, replica: 6380 } as const;
const SYNC_MS = 10_000;
const LOAD_MS = 30_000;
const [KEYS, CONNECTIONS] = [6_000, 20];
const missing = ['redis-server', 'redis-benchmark', 'redis-cli'].filter((name) => !existsSync(`/usr/bin/${name}`));
const skip = missing.length > 0 && `NOT TESTED: ${missing.join(', ')} missing; scripts/setup apps installs them`;

/** A real database with a replica on the other node, under its own load program. Servers and clients are in the mesh. */
describe('Redis and its replica on two nodes', { skip }, () => {
  let mesh: AttackedMesh;
  const dir = mkdtempSync(join(tmpdir(), 'weft-redis-'));
  const redis = async (name: keyof typeof PORT, node: 'alpha' | 'beta', ...more: string[]): Promise<void> => {
    // Redis does not say in our words that it runs; the shell says who it will be.
    const line = ['sh', '-c', 'echo "{\\"event\\":\\"listening\\",\\"pid\\":$$}"; exec "$@"', 'sh', 'redis-server'];
    const memory = [
      '--save',
      '',
      '--appendonly',
      'no',
      '--protected-mode',
      'no',
      '--enable-debug-command',
      'yes',
      '--bind',
      '*',
      '-::*',
    ];
    // A replica keeps there what it is sent first, which must not be found by another run.
    const place = ['--dir', dir, '--dbfilename', `${name}.rdb`, '--port', String(PORT[name])];
    await mesh.start({ name, node, command: [...line, ...place, ...memory, ...more] });
  };
  const cli = async (name: keyof typeof PORT, ...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await mesh.inside('client', [
      'redis-cli',
      '-h',
      VIP[name],
      '-p',
      String(PORT[name]),
      ...words,
    ]);
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };

  before(async () => {
    const services = (['primary', 'replica'] as const).map((name) => serviceYaml(name, VIP[name], PORT[name], PORT[name]));
    mesh = await AttackedMesh.up({ 'redis.yaml': services.join('---\n') });
    await Promise.all([redis('primary', 'beta'), mesh.echo('client', 'alpha')]);
    await redis('replica', 'alpha', '--replicaof', VIP.primary, String(PORT.primary));
    await waitUntil('replication', SYNC_MS, async () =>
      /^slave0:.*state=online/m.test(await cli('primary', 'info', 'replication')),
    );
  });
  after(async () => {
    await mesh?.down();
    rmSync(dir, { recursive: true, force: true });
  });

  test('redis-benchmark over 20 connections to another node has no error, and the replica has every byte', async () => {
    const load = ['-c', CONNECTIONS, '-n', KEYS, '-r', KEYS, '-d', 1024].map(String);
    const at = ['-h', VIP.primary, '-p', String(PORT.primary)];
    const ran = await mesh.inside('client', ['redis-benchmark', ...at, ...load, '-t', 'set,get,lpush', '--csv'], LOAD_MS);
    assert.deepEqual([ran.code, /error/i.test(`${ran.stdout}${ran.stderr}`)], [0, false], `${ran.stdout}${ran.stderr}`);
    await waitUntil('replica to follow', SYNC_MS, async () => (await cli('primary', 'wait', '1', '1000')) === '1');
    const [primary, replica] = [await cli('primary', 'debug', 'digest'), await cli('replica', 'debug', 'digest')];
    assert.match(primary, /^[0-9a-f]{40}$/);
    assert.equal(replica, primary);
    assert.equal(await cli('primary', 'dbsize'), await cli('replica', 'dbsize'));
  });

  test('nothing was reset: the replica synchronised once, and no connection of the primary ended in an error', async () => {
    const stats = await cli('primary', 'info', 'stats');
    assert.match(stats, /^sync_full:1\r?$/m);
    assert.match(stats, /^sync_partial_ok:0\r?$/m);
    assert.match(stats, /^unexpected_error_replies:0\r?$/m);
  });
});
