import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { WEFT_PROGRAM, WEFT_ROOT } from '#platform/program/installation.ts';

/** The folder of schemas in Weft's own installation; what runs from the bundle takes those beside it. */
const CRD_DIRECTORY = WEFT_PROGRAM.endsWith('.ts') ? join(WEFT_ROOT, 'config/crds') : join(dirname(WEFT_PROGRAM), 'crds');

/**
 * The text of each named file of config/crds, by its name; YAML, or the same as JSON.
 * Errors: WEFT_CRD_MISSING when one cannot be read.
 */
export async function readCrds(names: readonly string[], directory = CRD_DIRECTORY): Promise<ReadonlyMap<string, string>> {
  const texts = names.map(async (name): Promise<[string, string]> => {
    try {
      return [name, await readFile(join(directory, name), 'utf8')];
    } catch (cause) {
      throw new WeftError('WEFT_CRD_MISSING', `cannot read ${join(directory, name)}`, {
        cause,
        remedy: 'reinstall Weft: its folder config/crds is incomplete',
      });
    }
  });
  return new Map(await Promise.all(texts));
}
