import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('./programs', import.meta.url));
/** What was compiled until then stays in Go's own cache, so that a next build is shorter. */
const BUILD_MS_MAX = 200_000;

/** The folder with the services, built where need be; null: they cannot be, and why is on standard error. */
export async function envoyPrograms(): Promise<string | null> {
  try {
    return (await promisify(execFile)(SCRIPT, ['build'], { timeout: BUILD_MS_MAX })).stdout.trim();
  } catch (error) {
    process.stderr.write(`ENVOY'S SERVICES CANNOT BE BUILT HERE: ${error instanceof Error ? error.message : String(error)}\n`);
    return null;
  }
}

/** One of them, running. `told`: the lines of JSON that it has written. */
export type EnvoyService = {
  readonly told: Record<string, unknown>[];
  readonly output: () => string;
  /** It stands still, with its connections open, or goes on. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
};

/** Starts a service; it runs until it is stopped. */
export function startEnvoyService(command: readonly string[], env: Readonly<Record<string, string>> = {}): EnvoyService {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const told: Record<string, unknown>[] = [];
  let output = '';
  const hear = (line: string): void => {
    output += `${line}\n`;
    if (line.startsWith('{')) told.push(JSON.parse(line) as Record<string, unknown>);
  };
  createInterface(child.stdout).on('line', hear);
  createInterface(child.stderr).on('line', hear);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    told,
    output: () => output,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
