import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ApplyOptions,
  type DeleteOptions,
  type DiffOptions,
  formatApplied,
  formatDeleted,
  type GetOptions,
  listedPage,
} from '#cli/resources.ts';
import { formatFinding } from '#cli/status-page.ts';
import { yamlText } from '#cli/yaml.ts';
import { objectsIn } from '#control-plane/sources/directory/resource-file.ts';
import { cutDocuments } from '#control-plane/sources/directory/yaml-documents.ts';
import { showProgress } from '#main/commands/progress.ts';
import { readAll } from '#main/commands/validate.ts';
import { WeftError } from '#model/error.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { controlClient } from '#platform/local-api/clients.ts';
import type { ComparedResource, GivenResource, ListedResource } from '#protocol/api/resources.ts';

/** `weft apply`; 1 when one was refused. Errors: WEFT_NO_CONTROL, those of reading the files. */
export async function apply(options: ApplyOptions): Promise<number> {
  const { paths, dryRun, socket } = options;
  const batches = batchesOf(await readGiven(paths));
  const control = controlClient(socket);
  const applied = await showProgress('applying', () => inTurn(batches, (batch) => control.apply(batch, dryRun)));
  process.stdout.write(await formatApplied(applied, options));
  return applied.some(({ outcome }) => outcome === 'refused') ? 1 : 0;
}

/** `weft delete`; 1 when one is not there or stays. Errors: WEFT_NO_CONTROL, WEFT_KIND_UNREAD, those of reading the files. */
export async function remove(options: DeleteOptions): Promise<number> {
  const control = controlClient(options.socket);
  const removal = async () => {
    if (options.kind === 'names') {
      const { of: kind, namespace, names } = options;
      return control.remove({ kind, namespace, names });
    }
    return inTurn(batchesOf(await readGiven(options.paths)), (resources) => control.remove({ resources }));
  };
  const deleted = await showProgress('removing', removal);
  process.stdout.write(await formatDeleted(deleted, options));
  const isFailure = { deleted: false, absent: !options.ignoreNotFound, failed: true };
  return deleted.some(({ outcome }) => isFailure[outcome]) ? 1 : 0;
}

/** `weft get`; 1 when the one that was named is not there. Errors: WEFT_NO_CONTROL, WEFT_KIND_UNREAD. */
export async function get(options: GetOptions): Promise<number> {
  const listed = await showProgress('asking the control plane', () => listAll(options));
  const { out, err, code } = await listedPage(listed, options);
  process.stderr.write(err);
  process.stdout.write(out);
  return code;
}

async function listAll({ kind, name, namespace, output, socket }: GetOptions): Promise<ListedResource[]> {
  const control = controlClient(socket);
  const listed: ListedResource[] = [];
  let after: string | null = null;
  do {
    const answer = await control.list({ kind, name, namespace, after, objects: output !== 'table' });
    listed.push(...answer.resources);
    after = answer.next;
  } while (after !== null);
  return listed;
}

/** Exit code when nobody can say what would be in force. */
const EXIT_REFUSED = 2;

/** `weft diff`: what diff says. Errors: WEFT_NO_CONTROL, WEFT_DIFF, those of reading the files. */
export async function diff({ paths, socket }: DiffOptions): Promise<number> {
  const batches = batchesOf(await readGiven(paths));
  const control = controlClient(socket);
  const compared = await showProgress('asking the control plane', () => inTurn(batches, (batch) => control.compare(batch)));
  const findings = compared.flatMap((one) => one.findings.map(formatFinding));
  process.stderr.write(findings.join(''));
  const code = differences(compared);
  return findings.length > 0 ? EXIT_REFUSED : code;
}

/** As every tool around YAML does it: two directories, and the program that people know how to read. */
function differences(compared: readonly ComparedResource[]): number {
  const directory = mkdtempSync(join(tmpdir(), 'weft-diff-'));
  try {
    for (const [side, of] of [
      ['in-force', 'before'],
      ['applied', 'after'],
    ] as const) {
      const text = compared.flatMap((one) => (one[of] === null ? [] : `# ${one.resource}\n${yamlText(one[of])}`));
      writeFileSync(join(directory, side), text.join('---\n'), { mode: 0o600 });
    }
    const done = spawnSync('diff', ['-u', 'in-force', 'applied'], { cwd: directory, stdio: ['ignore', 'inherit', 'inherit'] });
    if (done.error !== undefined || done.status === null)
      throw new WeftError('WEFT_DIFF', 'diff cannot be run', {
        cause: done.error,
        remedy: 'install it: apt-get install diffutils',
      });
    return done.status;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function readGiven(paths: readonly string[]): Promise<GivenResource[]> {
  const { files } = await readAll(paths.map((path) => (path === '-' ? '/dev/stdin' : path)));
  return [...files].flatMap(([path, text]) => cutDocuments(text).flatMap((raw) => given(path, raw)));
}

function given(file: string, raw: { text: string; line: number }): GivenResource[] {
  return objectsIn(raw).map(({ object, isAlone, line }) => ({
    file,
    // What stands alone keeps its comments, and the places that findings tell.
    ...(isAlone || object === null ? raw : { line, text: yamlText(object) }),
    object: typeof object === 'object' && object !== null ? object : {},
  }));
}

/** As many as the control plane takes at once. */
function batchesOf(resources: readonly GivenResource[]): GivenResource[][] {
  const batches: GivenResource[][] = [];
  let room = 0;
  for (const one of resources) {
    room -= one.text.length;
    if (room < 0) {
      batches.push([]);
      room = RESOURCE.appliedTogetherCharactersMax - one.text.length;
    }
    batches.at(-1)?.push(one);
  }
  return batches;
}

async function inTurn<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result[]>): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) results.push(...(await work(item)));
  return results;
}
