// Bundles the program into a folder: node scripts/bundle.ts FOLDER. Called by scripts/build-program.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { parse } from 'yaml';

const require = createRequire(import.meta.url);

/**
 * Modules of Node.js without their lazy properties. An import statement reads every property of such a module at once, and
 * node:http answers that by loading a whole HTTP client (undici) that nobody here uses: 30 ms and some megabytes for each process.
 */
const eagerOnly: Plugin = {
  name: 'eager-only',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?[a-z_0-9/]+$/ }, ({ path, kind }) => {
      const name = path.replace(/^node:/, '');
      if (!builtinModules.includes(name)) return undefined;
      return kind === 'import-statement' ? { path: name, namespace: 'node' } : { path: `node:${name}`, external: true };
    });
    onLoad({ filter: /.*/, namespace: 'node' }, ({ path }) => {
      const names = Object.entries(Object.getOwnPropertyDescriptors(require(`node:${path}`)))
        .filter(([name, { get }]) => get === undefined && /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'default')
        .map(([name]) => name);
      const exports = names.map((name) => `const own_${name} = all.${name}; export { own_${name} as ${name} };`);
      return { contents: `const all = process.getBuiltinModule('node:${path}');\nexport default all;\n${exports.join('\n')}` };
    });
  },
};

const outdir = process.argv[2] ?? 'build/program';

await build({
  // What enables the cache of compiled code must not import what is to be compiled.
  entryPoints: [{ in: 'src/main/bundled.ts', out: 'weft' }],
  outdir,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  external: [
    'koffi', // it finds its native half by its own place
    '@grpc/proto-loader', // asked for by services of grpc-js that nobody here offers (channelz, ORCA): 0.2 MB in each process
  ],
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  sourcemap: true,
  sourcesContent: false,
  // Packages in the older module format ask for require.
  banner: { js: "import{createRequire as weftRequire}from'node:module';const require=weftRequire(import.meta.url);" },
  plugins: [eagerOnly],
});

// The schemas, as JSON: to read the half megabyte of them as YAML takes longer than the rest of a start.
const crds = 'config/crds';
mkdirSync(join(outdir, 'crds'));
for (const name of readdirSync(crds).filter((each) => each.endsWith('.yaml')))
  writeFileSync(join(outdir, 'crds', name), JSON.stringify(parse(readFileSync(join(crds, name), 'utf8'))));
