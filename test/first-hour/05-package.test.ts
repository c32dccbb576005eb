import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ROOT } from '../e2e/programs.testing.ts';

const ARCH = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** What the package puts on a machine, without the time that it takes to pack it: the whole way is `make test-package`. */
describe('the package as it is laid out', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-package-'));
  const root = join(dir, 'root');
  const lib = join(root, 'usr/lib/weft');
  before(() => {
    execFileSync('scripts/package', [], {
      cwd: ROOT,
      env: { ...process.env, WEFT_STAGE: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    cpSync(join(ROOT, 'build/package', ARCH, 'root'), root, { recursive: true, verbatimSymlinks: true });
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const weft = (...args: string[]): string =>
    execFileSync(join(root, 'usr/bin/weft'), args, {
      encoding: 'utf8',
      cwd: dir,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });

  test('H10: the program runs from its bundle and its own Node.js, with nothing of the tree around it', () => {
    const { version, dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    assert.match(weft('version'), new RegExp(`^weft ${version} \\(Node\\.js v${dependencies.node}, `));
    assert.match(weft('validate', join(lib, 'examples/quickstart/mesh')), /^0 errors, 0 warnings$/m);
    assert.equal(existsSync(join(lib, 'src/main')), false);
  });

  test('H10: eBPF objects, manual, completions and licences come along, and nothing that compiles', () => {
    const objects = globSync('*.o', { cwd: join(lib, 'build/bpf') });
    assert.deepEqual(
      objects.sort(),
      globSync('*.bpf.c', { cwd: join(ROOT, 'bpf/attach') })
        .map((name) => name.replace('.bpf.c', '.o'))
        .sort(),
    );
    for (const path of [
      'usr/share/man/man1/weft-run.1.gz',
      'usr/share/bash-completion/completions/weft',
      'usr/share/zsh/vendor-completions/_weft',
      'usr/share/fish/vendor_completions.d/weft.fish',
      'usr/share/doc/weft/copyright',
    ])
      assert.ok(statSync(join(root, path)).size > 0, path);
    assert.match(readFileSync(join(root, 'usr/share/doc/weft/copyright'), 'utf8'), /@grpc\/grpc-js .*: Apache-2\.0/);
    assert.deepEqual(globSync('**/{typescript,esbuild,buf,biome}', { cwd: root }), []);
  });

  test('H10: less than 80 MB beside Node.js, and no file that others may write', () => {
    const files = globSync('**/*', { cwd: root, withFileTypes: true }).filter((entry) => entry.isFile());
    const sizes = files.map((entry) => statSync(join(entry.parentPath, entry.name)));
    const node = statSync(join(lib, 'node_modules/node/bin/node')).size;
    const beside = sizes.reduce((sum, { size }) => sum + size, 0) - node;
    assert.ok(beside < 80e6, `${beside} bytes`);
    assert.ok(sizes.every(({ mode }) => (mode & 0o022) === 0));
  });
});
