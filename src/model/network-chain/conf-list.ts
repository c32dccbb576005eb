import { membersOf, startOf } from './json-ranges.ts';

/** A file of a node's network configuration. */
export type ConfFile = { name: string; text: string };

/** The file that counts on a node; or a sentence that says why no plugin can be put into a chain there. */
export type Primary = ConfFile | { problem: string };

/** The name of our plugin, by which its program is found and its entry told from those of others. */
export const PLUGIN = 'weft-cni';

/** What every file that a runtime reads ends with. */
const READ = /\.(conf|conflist|json)$/;

/** The first by name of those that a runtime reads, as it chooses itself: a chain is changed in no other. */
export function primaryOf(files: readonly ConfFile[]): Primary {
  const [first] = files.filter(({ name }) => READ.test(name)).sort((one, other) => (one.name < other.name ? -1 : 1));
  if (first === undefined) return { problem: 'no network is configured on this node yet' };
  if (!first.name.endsWith('.conflist'))
    return { problem: `${first.name} is no list of plugins: make it one (.conflist), so that weft-cni can follow the others` };
  const problem = listProblem(first.text);
  return problem === null ? first : { problem: `${first.name} ${problem}` };
}

/** The name of the network that a list is of; null: it has none that could be the name of a folder. */
export function networkOf(text: string): string | null {
  const { name } = JSON.parse(text) as { name?: unknown };
  return typeof name === 'string' && NETWORK.test(name) ? name : null;
}

/** Fixed by libcni: what a network may be called. */
const NETWORK = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** The text with our entry as the last of its plugins, and nowhere else; the same text where that is so. It has to be a list. */
export function withEntry(text: string, entry: string): string {
  const last = pluginsOf(text).at(-1);
  if (last !== undefined && text.slice(last.start, last.end) === entry) {
    const others = pluginsOf(text).slice(0, -1);
    if (others.every((one) => !isOurs(text, one))) return text;
  }
  const bare = withoutEntry(text);
  const end = pluginsOf(bare).at(-1)?.end ?? 0;
  return `${bare.slice(0, end)},${entry}${bare.slice(end)}`;
}

/** The text as it was without us: byte for byte, where the entry was put there by `withEntry`. What is no list is left alone. */
export function withoutEntry(text: string): string {
  if (listProblem(text) !== null) return text;
  const plugins = pluginsOf(text);
  const at = plugins.findIndex((one) => isOurs(text, one));
  const [ours, before, next] = [plugins[at], plugins[at - 1], plugins[at + 1]];
  if (ours === undefined) return text;
  // With the comma before it, or, as the first of all, with the one behind.
  const [from, to] = before === undefined ? [ours.start, next?.start ?? ours.end] : [before.end, ours.end];
  return withoutEntry(text.slice(0, from) + text.slice(to));
}

function listProblem(text: string): string | null {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return 'is no JSON';
  }
  const plugins = typeof list === 'object' && list !== null && 'plugins' in list ? list.plugins : null;
  if (!Array.isArray(plugins)) return 'has no plugins';
  const others = plugins.filter((one: unknown) => typeOf(one) !== PLUGIN);
  return others.length === 0 ? 'has no plugin that gives pods an address' : null;
}

/** Of a key that is there twice the last counts, as it does for JSON.parse. */
function pluginsOf(text: string): { start: number; end: number }[] {
  const plugins = membersOf(text, startOf(text)).findLast(({ key }) => key === 'plugins');
  return plugins === undefined ? [] : membersOf(text, plugins.start);
}

function isOurs(text: string, { start, end }: { start: number; end: number }): boolean {
  return typeOf(JSON.parse(text.slice(start, end))) === PLUGIN;
}

function typeOf(plugin: unknown): unknown {
  return typeof plugin === 'object' && plugin !== null && 'type' in plugin ? plugin.type : null;
}
