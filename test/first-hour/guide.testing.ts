import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Program, ROOT } from '../e2e/programs.testing.ts';
import type { Debians } from './debian.testing.ts';

const LOOK_MS = 3_000;

/** What a page tells its reader to do: lines of a shell on a machine, or a file to write. */
export type Step = { kind: 'shell'; machine: string; lines: string[] } | { kind: 'file'; path: string; text: string };

/** Does what lines that begin with systemctl say. */
export type ServiceManager = { systemctl(machine: string, line: string): Promise<void> };

/** What came of a line: its program goes on, when the line stays in the foreground. */
export type Outcome = { machine: string; line: string; program: Program | null; text: string };

/** The steps of a page of docs/guide: a shell's block begins with `# on MACHINE`, a file's with `# PATH`. */
export function stepsOf(page: string): Step[] {
  const text = readFileSync(join(ROOT, 'docs/guide', page), 'utf8');
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, block = '']) => {
    const [head = '', ...lines] = block.trimEnd().split('\n');
    const machine = /^# on (\S+)$/.exec(head)?.[1];
    if (language === 'sh' && machine !== undefined) return { kind: 'shell', machine, lines };
    const path = /^# (\/\S+)$/.exec(head)?.[1];
    if (path === undefined) throw new Error(`${page}: a block says neither a machine nor a file: ${head}`);
    return { kind: 'file', path, text: block };
  });
}

/** Does what a page says, as its reader would. Errors: of the first line that did not do what it should. */
export async function follow(debians: Debians, page: string, manager: ServiceManager | null = null): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const step of stepsOf(page)) {
    if (step.kind === 'shell') {
      outcomes.push(...(await runLines(debians, step.machine, step.lines, manager)));
      // Whoever changes what is in force looks at what comes of it before the next step.
      if (step.lines.some((line) => line.startsWith('sed -i'))) await sleep(LOOK_MS);
      continue;
    }
    const file = debians.file('node-1', step.path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, step.text);
  }
  return outcomes;
}

async function runLines(
  debians: Debians,
  machine: string,
  lines: readonly string[],
  manager: ServiceManager | null,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const short: string[] = [];
  // Lines that come back share a shell, as they do in a terminal.
  const finish = async (): Promise<void> => {
    const line = short.splice(0).join('\n');
    if (line !== '') outcomes.push({ machine, line, program: null, text: await debians.said(machine, line) });
  };
  for (const line of lines) {
    if (line.startsWith('scp ')) {
      await finish();
      copyBetween(debians, machine, line);
    } else if (line.startsWith('systemctl ') && manager !== null) {
      await finish();
      await manager.systemctl(machine, line);
      await settled(debians, machine, line);
    } else if (line.startsWith('! ')) {
      await finish();
      const refused = await debians.said(machine, `if ${line.slice(2)}; then exit 1; fi`);
      outcomes.push({ machine, line, program: null, text: refused });
    } else if (staysInForeground(line)) {
      await finish();
      const program = await debians.run(machine, line);
      await ready(debians, machine, line, program);
      outcomes.push({ machine, line, program, text: '' });
    } else short.push(line);
  }
  await finish();
  return outcomes;
}

/** Servers and parts of the mesh; a client of the database ends by itself, and so does what goes on in the background. */
function staysInForeground(line: string): boolean {
  return /^weft (control|agent|run) /.test(line) && !line.includes('redis-cli') && !line.startsWith('weft run -d ');
}

function copyBetween(debians: Debians, machine: string, line: string): void {
  const words = line.split(' ').slice(1);
  const [, to = '', folder = ''] = /^(\S+?):(\S+)$/.exec(words.pop() ?? '') ?? [];
  for (const path of words) debians.put(to, debians.file(machine, path), join(folder, path.slice(path.lastIndexOf('/') + 1)));
}

/** A service manager returns when a workload's program is started; a person looks whether it is there. */
async function settled(debians: Debians, machine: string, line: string): Promise<void> {
  const [, name] = /^systemctl (?:enable|start|restart) .*weft-workload@(\S+)/.exec(line) ?? [];
  if (name !== undefined) await debians.said(machine, untilTrue(`weft ps | grep -q "^[^ ]* *${name} .* ready "`));
  if (/^systemctl (enable|start|restart) .*weft-agent/.test(line)) await debians.said(machine, untilTrue(CONNECTED));
}

const CONNECTED = 'weft status | grep -q " connected .* s ago"';

function untilTrue(look: string): string {
  return `for i in $(seq 100); do if ${look}; then exit 0; fi; sleep 0.1; done; weft status; exit 1`;
}

/** Waits for what a person would look at before typing the next line. */
async function ready(debians: Debians, machine: string, line: string, program: Program): Promise<void> {
  const what = line.split(' ')[1] ?? '';
  const workload = /--name (\S+)/.exec(line)?.[1] ?? '';
  const looks: Record<string, string> = {
    control: 'test -S /run/weft/control.sock && weft status | grep -q "^Control plane"',
    agent: CONNECTED,
    run: `weft ps | grep -q "^[^ ]* *${workload} .* ready "`,
  };
  const wait = debians.said(machine, untilTrue(looks[what] ?? 'true'));
  await Promise.race([
    wait,
    program.ended.then((code) => Promise.reject(new Error(`${line} ended with ${code}:\n${program.output()}`))),
  ]);
}
