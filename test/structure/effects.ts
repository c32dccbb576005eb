import { type Import, importsOf, isTest, type SourceFile, withoutComments } from './source-files.ts';

/** Modules that reach outside the process or into time; only the edges of the tree import them. */
const EFFECT_MODULES = new Set(
  [
    ...['fs', 'fs/promises', 'net', 'tls', 'http', 'http2', 'https', 'child_process', 'cluster', 'dgram', 'dns', 'dns/promises'],
    ...['os', 'process', 'readline', 'timers', 'timers/promises', 'worker_threads'],
  ].map((name) => `node:${name}`),
);
const EFFECT_PACKAGES = new Set(['koffi']);

/** What is pure in a module that otherwise is not. */
const PURE_NAMES: Readonly<Record<string, readonly string[]>> = {
  'node:net': ['isIP', 'isIPv4', 'isIPv6', 'BlockList'],
  'node:os': ['constants'],
};

const EFFECT_CALLS: readonly { pattern: RegExp; instead: string }[] = [
  { pattern: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/, instead: 'take a Clock' },
  { pattern: /(?<![.\w])set(Timeout|Interval|Immediate)\(/, instead: 'take a Clock' },
  { pattern: /\bMath\.random\b/, instead: 'take a Random' },
  {
    pattern: /\bprocess\.(env|exit|exitCode|argv|stdout|stderr|stdin|on|once|kill|cwd|hrtime)\b/,
    instead: 'take it as an argument',
  },
  { pattern: /(?<![.\w])fetch\(|\bconsole\./, instead: 'take it as an argument' },
];

function isEffect(found: Import): boolean {
  if (found.typeOnly) return false;
  if (EFFECT_PACKAGES.has(found.from)) return true;
  if (!EFFECT_MODULES.has(found.from)) return false;
  const pure = PURE_NAMES[found.from] ?? [];
  return found.names.length === 0 || found.names.some((name) => !pure.includes(name));
}

/** Effects where there may be none: files outside platform and main that reach for a socket, a file, a clock or chance. */
export function effectViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const file of files) {
    if (isTest(file.path) || /^src\/(platform|main)\//.test(file.path)) continue;
    for (const imported of importsOf(file).filter(isEffect))
      found.push(`${file.path} imports ${imported.from}: take the effect as an argument`);
    withoutComments(file.text)
      .split('\n')
      .forEach((line, at) => {
        for (const { pattern, instead } of EFFECT_CALLS) {
          const hit = pattern.exec(line);
          if (hit !== null) found.push(`${file.path}:${at + 1} uses ${hit[0]}: ${instead}`);
        }
      });
  }
  return found;
}
