import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bookshop } from '#testbed/apps/bookshop.ts';
import { SHOP_NAMESPACE } from '#testbed/apps/shop.ts';
import { command } from '#testbed/processes/command.ts';
import { REPO_ROOT, weft } from '#testbed/processes/command-lines.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Check, CheckFailure } from './check.ts';

/** What a visitor sees, with everything in it that differs from one shop to the next replaced by its kind. */
const GOLDEN = join(REPO_ROOT, 'examples/bookshop/seen.txt');
const SETTLED_WITHIN_MS = 10_000;

/** Command lines without the place of the mesh. */
const COMMANDS = [
  ['ps'],
  ['ps', '-o', 'wide', 'storefront', 'clerk'],
  ['describe', 'workload/storefront'],
  ['describe', 'service/reviews'],
  ['describe', 'policy/no-strangers'],
  ['describe', 'waypoint/waypoint'],
];

/** `weft ps` and `weft describe` say of the bookshop what stands beside it. WEFT_GOLDEN=write writes that down anew. */
export const seen: Check = {
  name: 'seen',
  path: '-',
  timeoutMs: 30_000,
  async run(mesh) {
    if (process.env.WEFT_GOLDEN === 'write') await writeFile(GOLDEN, await look(mesh));
    const golden = await readFile(GOLDEN, 'utf8');
    let text = '';
    // Certificates and paths come as they are needed; what is there stays.
    await waitUntil('the golden text', SETTLED_WITHIN_MS, async () => {
      text = await look(mesh);
      return text === golden;
    }).catch(() => {});
    if (text !== golden)
      throw new CheckFailure(`weft ps and weft describe differ from ${GOLDEN}: ${firstDifference(text, golden)}`);
    return `weft ps and weft describe of ${COMMANDS.length} things say what examples/bookshop/seen.txt holds`;
  },
};

async function look(mesh: Bookshop): Promise<string> {
  const texts = await Promise.all(
    COMMANDS.map(async (words) => {
      const place = words[0] === 'describe' ? ['--namespace', SHOP_NAMESPACE] : [];
      const stdout = await command(weft(...words, ...place, '--run-dir', mesh.paths.meshRunDir));
      return `$ weft ${words.join(' ')}\n${normalised(stdout, mesh.plan.id)}`;
    }),
  );
  return texts.join('\n');
}

/** Names of the lab, addresses, terms and the width of columns are of this shop alone. */
export function normalised(text: string, labId: string): string {
  return text
    .replaceAll(labId, 'LAB')
    .replace(/\b\d{1,3}(\.\d{1,3}){3}\b/g, 'IPV4')
    .replace(/\b(?=[0-9a-f:]*::|(?:[0-9a-f]+:){7})[0-9a-f]*:[0-9a-f:]+\b/g, 'IPV6')
    .replace(/expires in \d+ (d|h|min|s)/g, 'expires in TIME')
    .replace(/(?<=\S) {2,}/g, '  ');
}

function firstDifference(text: string, golden: string): string {
  const [lines, wanted] = [text.split('\n'), golden.split('\n')];
  const at = lines.findIndex((line, index) => line !== wanted[index]);
  const line = at < 0 ? lines.length : at;
  return `line ${line + 1} is "${lines[line] ?? ''}", not "${wanted[line] ?? ''}"`;
}
