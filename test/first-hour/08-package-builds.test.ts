import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, globSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { after, describe, test } from 'node:test';
import { ROOT } from '../e2e/programs.testing.ts';

/** What decides the bytes of a package: the sources, and the moment that they say for themselves. */
const MOMENT = '1700000000';
const AS_EVER = { SOURCE_DATE_EPOCH: MOMENT, TZ: 'UTC', LC_ALL: 'C.UTF-8' };
/** Somebody else's way of working. */
const OTHERWISE = { SOURCE_DATE_EPOCH: MOMENT, TZ: 'Pacific/Auckland', LC_ALL: 'C', HOME: '/nonexistent', USER: 'somebody' };

/** Fixed by the ELF format: e_machine. */
const MACHINE = { aarch64: 183, bpf: 247 };

const heavy = process.env.WEFT_PACKAGE_TEST === undefined ? 'make test-package runs it' : false;

describe('packages are built', { skip: heavy }, () => {
  // On the file system of the tree, so that a copy of it costs links and no bytes.
  const dir = mkdtempSync(join(ROOT, 'build/packages-'));
  after(() => rmSync(dir, { recursive: true, force: true }));

  /** Builds everything that is not of this machine from its sources; the digests, by the names of the files. */
  const build = (folder: string, env: NodeJS.ProcessEnv, ...args: string[]): string => {
    const run = (script: string, ...words: string[]): string =>
      execFileSync('bash', ['-c', 'umask 077; exec "$0" "$@"', script, ...words], {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    for (const script of ['scripts/build-proto', 'scripts/build-program']) run(script);
    return run('scripts/package', ...args);
  };

  /** The tree as somebody else has it: in another folder, at another depth, files of another time, nothing built. */
  const copyTree = (to: string): string => {
    mkdirSync(to, { recursive: true });
    const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT });
    execFileSync('tar', ['-C', ROOT, '--null', '-T', '-', '-cf', join(dir, 'tree.tar')], { input: listed });
    execFileSync('tar', ['-C', to, '--touch', '-xf', join(dir, 'tree.tar')]);
    execFileSync('cp', ['-al', join(ROOT, 'node_modules'), to]);
    return to;
  };

  test('H10: in another folder, at another time, by somebody else: the same bytes', () => {
    const here = build(ROOT, AS_EVER);
    assert.match(here, /^[0-9a-f]{64} {2}\S+\.deb\n[0-9a-f]{64} {2}\S+\.tar\.gz\n$/);
    const elsewhere = copyTree(join(dir, 'some/where/else'));
    assert.equal(build(elsewhere, OTHERWISE), here, differences(elsewhere));
  });

  test('H10: for arm64 it holds the same files, and programs of that machine alone', (t) => {
    build(ROOT, AS_EVER, 'arm64');
    const [ours, theirs] = ['amd64', 'arm64'].map((arch) => unpack(join(dir, arch), arch));
    const names = (root = ''): string[] =>
      filesOf(root).map((name) => name.replaceAll('linux-x64', 'ARCH').replaceAll('linux_x64', 'ARCH'));
    const foreign = filesOf(theirs ?? '').map((name) => name.replaceAll('linux-arm64', 'ARCH').replaceAll('linux_arm64', 'ARCH'));
    assert.deepEqual(foreign, names(ours));
    const machines = new Map<string, number>();
    for (const name of filesOf(theirs ?? '')) {
      const machine = elfMachine(join(theirs ?? '', name));
      if (machine !== null) machines.set(name, machine);
    }
    const lib = 'usr/lib/weft';
    const objects = globSync('*.bpf.c', { cwd: join(ROOT, 'bpf/attach') }).map(
      (name) => `${lib}/build/bpf/${name.slice(0, -6)}.o`,
    );
    assert.deepEqual(
      Object.fromEntries([...machines].sort()),
      Object.fromEntries(
        [
          ...objects.map((name) => [name, MACHINE.bpf] as const),
          [`${lib}/node_modules/@koromix/koffi-linux-arm64/linux_arm64/koffi.node`, MACHINE.aarch64] as const,
          [`${lib}/node_modules/node/bin/node`, MACHINE.aarch64] as const,
        ].sort(),
      ),
    );
    // What runs in the kernel is moved to each kernel's own types when it is loaded, so it is the same for both machines.
    for (const name of objects)
      assert.deepEqual(
        readFileSync(join(theirs ?? '', name)),
        readFileSync(join(ours ?? '', name)),
        `${name} depends on the machine`,
      );
    const field = (name: string): string =>
      execFileSync('dpkg-deb', ['--field', packageOf('arm64'), name], { encoding: 'utf8' }).trim();
    assert.equal(field('Architecture'), 'arm64');
    t.diagnostic(`arm64: ${field('Installed-Size')} KiB installed, ${machines.size} programs and objects`);
  });

  function packageOf(arch: string, tree = ROOT): string {
    const [name = ''] = globSync(`build/package/weft_*_${arch}.deb`, { cwd: tree });
    return join(tree, name);
  }

  function unpack(to: string, arch: string, tree = ROOT): string {
    execFileSync('dpkg-deb', ['--raw-extract', packageOf(arch, tree), to]);
    return to;
  }

  /** For whoever has to find out why. */
  function differences(tree: string): string {
    const [a, b] = [unpack(join(dir, 'a'), 'amd64'), unpack(join(dir, 'b'), 'amd64', tree)];
    const names = [...new Set([...filesOf(a), ...filesOf(b)])];
    const same = (name: string): boolean => {
      try {
        return readFileSync(join(a, name)).equals(readFileSync(join(b, name)));
      } catch {
        return false;
      }
    };
    return `these differ: ${names.filter((name) => !same(name)).join(' ')}`;
  }
});

/** Every file below a folder, in order. */
function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

/** The machine that a file is for; null: it is no ELF file. */
function elfMachine(path: string): number | null {
  const fd = openSync(path, 'r');
  const head = Buffer.alloc(20);
  const bytes = readSync(fd, head, 0, head.length, 0);
  closeSync(fd);
  return bytes === head.length && head.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1')) ? head.readUInt16LE(18) : null;
}
