import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Programs, WEFT } from '../e2e/programs.testing.ts';
import { Host } from './host.testing.ts';

/** Everything below a folder: path, kind, and what files hold. */
function snapshot(root: string): string[] {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  return paths.map((path) => {
    const status = lstatSync(join(root, path));
    const text = status.isFile()
      ? createHash('sha256')
          .update(readFileSync(join(root, path)))
          .digest('hex')
      : '';
    return `${path} ${status.mode} ${text}`;
  });
}

describe('weft uninstall with wrong arguments', () => {
  const root = mkdtempSync(join(tmpdir(), 'weft-precious-'));
  const home = join(root, 'home');
  const programs = new Programs();
  const below = (path: string): string => join(home, path);

  before(() => {
    const folders = [
      'docs/2024',
      'photos',
      'waypoints',
      'weft/node-1/links',
      'state/registry',
      'state/logs',
      'empty',
      'node-1/sandboxes',
    ];
    for (const folder of folders) mkdirSync(below(folder), { recursive: true });
    const files = [
      'docs/2024/thesis.tex',
      'photos/a.jpg',
      'state/root-cert.pem',
      'state/root-key.pem',
      'state/registry/a.json',
      'state/logs/a.log',
    ];
    const alike = [
      'control.sock',
      'bpffs-mounted',
      'waypoints/shop.gate.log',
      'node-1/agent.sock',
      'node-1/token',
      'weft/node-1/links/x',
    ];
    for (const file of [...files, ...alike]) writeFileSync(below(file), `precious ${file}`);
    // A mark that was copied along with something else, and one that somebody else's program wrote.
    writeFileSync(below('photos/weft.json'), JSON.stringify({ kind: 'run', instance: 'x', path: '/run/weft' }));
    writeFileSync(below('docs/weft.json'), '{"kind":"state"');
    symlinkSync(below('docs'), below('link'));
    cpSync(below('state'), below('backup'), { recursive: true });
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  const none = join(root, 'none');
  const wrong: Record<string, (home: string) => [runDir: string, stateDir: string, bpffs: string]> = {
    'a home directory as run directory': (at) => [at, none, none],
    'a home directory as state directory': (at) => [none, at, none],
    'a home directory as bpf file system': (at) => [none, none, at],
    'one folder for all three': (at) => [at, at, at],
    'a folder with files that are called like ours': (at) => [at, join(at, 'state'), none],
    'a backup of a state directory': (at) => [none, join(at, 'backup'), none],
    'a link': (at) => [join(at, 'link'), join(at, 'link'), none],
    'an empty folder': (at) => [join(at, 'empty'), join(at, 'empty'), none],
    'a file': (at) => [join(at, 'photos/a.jpg'), join(at, 'photos/a.jpg'), none],
    'folders with marks of others': (at) => [join(at, 'photos'), join(at, 'docs'), none],
    'a path with dots and slashes': (at) => [`${at}/photos/..//`, `${at}/./state/`, none],
  };
  for (const [name, places] of Object.entries(wrong)) {
    test(`H1: ${name}: nothing is lost`, async () => {
      const kept = snapshot(root);
      const [runDir, stateDir, bpffs] = places(home);
      for (const more of [[], ['--yes']]) {
        const said = programs.start([WEFT, 'uninstall', ...more, '--run-dir', runDir, '--state-dir', stateDir, '--bpffs', bpffs]);
        await said.ended;
        assert.match(said.output(), /nothing to remove/);
        assert.deepEqual(snapshot(root), kept);
      }
    });
  }

  test('H1: nor does an agent, a control plane or a cleanup take over a folder of somebody else', async () => {
    const kept = snapshot(home);
    const lines = [
      ['agent', '--node', 'docs', '--run-dir', home, '--bpffs', home, '--cleanup'],
      ['agent', '--node', 'empty', '--run-dir', home, '--bpffs', home, '--cleanup'],
      ['up', join(home, 'docs'), '--node', 'photos', '--run-dir', home, '--state-dir', none],
      [
        'control',
        '--config',
        join(home, 'docs'),
        '--state-dir',
        below('docs'),
        '--socket',
        join(none, 'control.sock'),
        '--listen',
        '127.0.0.1:1',
      ],
    ];
    for (const line of lines) {
      const said = programs.start([WEFT, ...line]);
      await said.ended;
      assert.deepEqual(snapshot(home), kept, `${line.join(' ')}: ${said.output()}`);
    }
  });
});

describe('weft uninstall beside a living mesh', () => {
  const host = new Host();
  before(async () => {
    await host.up();
    await (await host.run('web', ['sh', '-c', 'echo here; exec sleep 1000'])).until(/here/);
  });
  after(() => host.close());

  const lives = async (): Promise<boolean> => {
    const { code, text } = await host.said('status', '--run-dir', host.runDir);
    return code === 0 && /default\/web/.test(text);
  };

  test('H1: with a run directory that holds nothing, it names the mesh that it leaves alone', async () => {
    const { code, text } = await host.said(
      'uninstall',
      '--yes',
      '--run-dir',
      join(host.root, 'none'),
      '--state-dir',
      host.stateDir,
    );
    assert.equal(code, 0, text);
    assert.match(text, new RegExp(`left: node ${host.node}, which belongs to ${host.runDir}`));
    assert.match(text, new RegExp(`left: ${host.stateDir}, which belongs to the control plane of ${host.runDir}`));
    assert.equal(await lives(), true);
  });

  test('H1: where something lives it says what, and does nothing without --yes', async () => {
    const { code, text } = await host.said('uninstall', ...host.place);
    assert.equal(code, 1);
    assert.match(
      text,
      new RegExp(`node ${host.node} \\(its agent has pid \\d+; workloads: 1\\), the control plane.*WEFT_UNINSTALL_LIVES`),
    );
    assert.equal(await lives(), true);
  });

  test('H1: nor does a cleanup take a node from under its agent', async () => {
    for (const runDir of [host.runDir, join(host.root, 'none')]) {
      const { code, text } = await host.said('agent', '--cleanup', '--node', host.node, '--run-dir', runDir);
      assert.equal(code, 1);
      assert.match(text, new RegExp(`held by the agent with pid \\d+, run directory ${host.runDir} \\(WEFT_NODE_HELD\\)`));
    }
    assert.equal(await lives(), true);
  });

  test('H1: with --yes nothing of the mesh is left, and what is somebody else’s stays', async () => {
    writeFileSync(join(host.root, 'notes.txt'), 'mine');
    const { code, text } = await host.said('uninstall', '--yes', ...host.place);
    assert.equal(code, 0, text);
    assert.deepEqual(readdirSync(host.root).sort(), ['mesh', 'notes.txt']);
    assert.equal(existsSync(`/sys/fs/bpf/weft/${host.node}`), false);
    assert.deepEqual(
      readdirSync('/run/netns').filter((name) => name.includes(host.node)),
      [],
    );
  });
});
