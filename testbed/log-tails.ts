import { readFile } from 'node:fs/promises';
import type { Child } from './child.ts';
import { isMeshPart } from './mesh/demo-mesh.ts';

const TAIL_LINES = 12;
/** Enough for a sentence and its fields; stacks are for the file. */
const LINE_CHARACTERS_MAX = 300;

/** The last lines of the logs that most likely say what went wrong: of whatever ended by itself, else of the mesh's own parts. */
export async function logTails(children: readonly Child[]): Promise<string> {
  const ended = children.filter((child) => child.endedByItself());
  const telling = ended.length > 0 ? ended : children.filter(isMeshPart);
  const tails = await Promise.all(
    telling.map(async ({ name, logPath, ending }) => {
      const lines = (await readFile(logPath, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-TAIL_LINES);
      const end = ending();
      const how = end === null ? 'still runs' : `ended with ${end.signal ?? `exit code ${end.code}`}`;
      return `\n${name} (${how}), end of ${logPath}:\n${lines.map((line) => `  ${line.slice(0, LINE_CHARACTERS_MAX)}\n`).join('')}`;
    }),
  );
  return tails.join('');
}
