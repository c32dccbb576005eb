import { chmodSync, constants, copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { findProgram, runCommand } from '#platform/linux/process/command.ts';

/** One file of an archive, by its path below the one folder in it. */
type ArchivedFile = { path: string; text: string };

/**
 * Writes a .tar.gz that holds one folder, for its owner alone; what is there already is not overwritten. Returns its size in
 * bytes. Errors: WEFT_REPORT_FILE, WEFT_SANDBOX_COMMAND when tar is not there.
 */
export async function writeArchive(archive: string, folder: string, files: readonly ArchivedFile[]): Promise<number> {
  const tar = findProgram('tar', 'tar');
  try {
    return await packed(tar, archive, folder, files);
  } catch (cause) {
    throw new WeftError('WEFT_REPORT_FILE', `cannot write ${archive}`, {
      cause,
      remedy: 'name a file that is not there yet, in a directory that you may write and that has room; TMPDIR needs some, too',
    });
  }
}

async function packed(tar: string, archive: string, folder: string, files: readonly ArchivedFile[]): Promise<number> {
  const work = mkdtempSync(join(tmpdir(), 'weft-bug-report-'));
  try {
    for (const { path, text } of files) {
      const file = join(work, folder, path);
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(file, text, { mode: 0o600 });
    }
    const made = join(work, 'made.tar.gz');
    const result = await runCommand(tar, ['-czf', made, '-C', work, folder]);
    if (result.kind !== 'done') throw new Error(result.kind === 'failed' ? result.stderr : 'tar is not installed');
    copyFileSync(made, archive, constants.COPYFILE_EXCL);
    chmodSync(archive, 0o600);
    return statSync(archive).size;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
