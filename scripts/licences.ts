// Prints the licence of Weft and those of the npm packages that its bundle holds, by package-lock.json: node scripts/licences.ts
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, { version: string; license?: string; dev?: boolean; optional?: boolean }>;
};
const shipped = Object.entries(lock.packages)
  .filter(([path, { dev, optional }]) => path !== '' && !dev && !optional)
  .sort(([a], [b]) => (a < b ? -1 : 1));

console.log(`Weft\n\n${readFileSync(join(root, 'LICENSE'), 'utf8')}`);
console.log('The eBPF programs are dual-licensed Apache-2.0 or GPL-2.0.\n');
for (const [path, { version, license }] of shipped) {
  console.log(`${'-'.repeat(80)}\n${path.replace(/^.*node_modules\//, '')} ${version}: ${license ?? 'see below'}\n`);
  const text = existsSync(join(root, path)) ? readdirSync(join(root, path)).find((name) => /^licen[cs]e/i.test(name)) : undefined;
  if (text !== undefined) console.log(readFileSync(join(root, path, text), 'utf8'));
}
