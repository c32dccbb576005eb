import { messageOf, WeftError } from '#model/error.ts';
import { COMMAND } from '#model/settings/host.ts';

/** Option of `weft run` that names a file; it comes first, so that it is none of the command's own. */
const FILE = '--file';

/**
 * The words of a command line, those of a workload's file among them: `run --file web.yaml --memory 1g` is `run` with the options that the file
 * has, then those of the line, then the command of the line or else that of the file. Others stay as they are.
 * Errors: WEFT_WORKLOAD_FILE.
 */
export async function withWorkloadFile(words: readonly string[], readText: (path: string) => string): Promise<string[]> {
  const [verb, option = '', ...rest] = words;
  if (verb !== 'run' || !(option === FILE || option.startsWith(`${FILE}=`))) return [...words];
  const given = option === FILE ? rest.shift() : option.slice(FILE.length + 1);
  if (given === undefined || given === '') return [...words]; // told as every option without its value is
  const { options, command } = await wordsOf(given, readText);
  return [verb, ...options, ...rest, ...(rest.includes('--') ? [] : ['--', ...command])];
}

/** The options and the command that a file tells. Errors: WEFT_WORKLOAD_FILE. */
async function wordsOf(path: string, readText: (path: string) => string): Promise<{ options: string[]; command: string[] }> {
  const content = await contentOf(path, readText);
  const wrong = (what: string): WeftError =>
    fault(`${path}: ${what}`, 'write the options of weft run as keys, and command as a list (docs/guide/service.md)');
  if (content === null || typeof content !== 'object' || Array.isArray(content)) throw wrong('it holds no keys with values');
  const { command, ...options } = content as Record<string, unknown>;
  if (!Array.isArray(command) || command.length === 0 || !command.every(isText)) throw wrong('"command" is no list of words');
  const words = Object.entries(options).flatMap(([key, value]) => {
    if (!/^[a-z][a-z0-9-]*$/.test(key)) throw wrong(`"${key}" is not the name of an option`);
    const told = wordsFor(value);
    if (told === null) throw wrong(`"${key}" is neither text, a number, yes or no, nor a list or map of these`);
    return told.flatMap((text) => (text === null ? [`--${key}`] : [`--${key}`, text]));
  });
  return { options: words, command: command.map(String) };
}

/** The values of an option, one for each time that it is written; null in the list: without a value. Null: it cannot be one. */
function wordsFor(value: unknown): (string | null)[] | null {
  if (value === true) return [null];
  if (value === false || value === null) return [];
  if (isText(value)) return [String(value)];
  if (Array.isArray(value)) return value.every(isText) ? value.map(String) : null;
  const pairs = Object.entries(value as object);
  return pairs.every(([, each]) => isText(each)) ? pairs.map(([name, each]) => `${name}=${each}`) : null;
}

function isText(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number';
}

async function contentOf(path: string, readText: (path: string) => string): Promise<unknown> {
  const { yamlValue } = await import('./yaml.ts'); // every process of Weft begins with this file's room, and few read YAML
  try {
    const text = readText(path);
    const bytesMax = COMMAND.workloadFileBytesMax;
    if (text.length > bytesMax) throw new Error(`it has more than ${bytesMax / 1_024} KiB`);
    return yamlValue(text);
  } catch (cause) {
    throw fault(`cannot read the workload file ${path}: ${messageOf(cause)}`, 'name a YAML file with the options of weft run');
  }
}

function fault(message: string, remedy: string): WeftError {
  return new WeftError('WEFT_WORKLOAD_FILE', message, { remedy });
}
