import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { formatData } from '#cli/command.ts';
import type { ValidateOptions } from '#cli/look-and-check.ts';
import { DEFAULT_MESH_OPTIONS } from '#control-plane/index/mesh-options.ts';
import { CRD_FILES, KINDS, MESH } from '#control-plane/kinds/list.ts';
import { type Finding, formatFindings } from '#control-plane/resources/finding.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { validateFiles } from '#control-plane/sources/directory/directory-source.ts';
import { showProgress } from '#main/commands/progress.ts';
import { WeftError } from '#model/error.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { readCrds } from '#platform/files/crds.ts';
import { scanDirectory, textsOf } from '#platform/files/scan-directory.ts';

/**
 * `weft validate`: reads resources with what the control plane reads them with, so that both say the same. Prints every
 * finding on standard output, as they are the result; 1 when one of them is an error. Errors: those of reading the files.
 */
export async function validate({ paths, output }: ValidateOptions): Promise<number> {
  const { files, findings } = await showProgress('reading the files', () => findResources(paths));
  const text = `${files} file${files === 1 ? '' : 's'} read\n${formatFindings(findings)}\n`;
  process.stdout.write(output === 'text' ? text : await formatData({ files, findings }, output));
  return findings.some(({ severity }) => severity === 'error') ? 1 : 0;
}

/** What is wrong with the resources at `paths`, and how many files were read. Errors: those of reading the files. */
export async function findResources(paths: readonly string[]): Promise<{ files: number; findings: Finding[] }> {
  const { files, ignored } = await readAll(paths);
  const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
  return { files: files.size, findings: validateFiles(files, parser, MESH, DEFAULT_MESH_OPTIONS, ignored) };
}

/** path → text, and what is passed over; a directory stands for the files below it. Errors: WEFT_CONFIG_FILE, WEFT_NO_RESOURCES. */
export async function readAll(paths: readonly string[]): Promise<{ files: Map<string, string>; ignored: string[] }> {
  const files = new Map<string, string>();
  const ignored: string[] = [];
  for (const path of paths) {
    if (await isDirectory(path)) {
      const scan = await scanDirectory(path);
      // A check that passed over a file would say that all is well.
      for (const { problem } of scan.unread.values()) throw problem;
      for (const [file, text] of textsOf(scan)) files.set(file, text);
      ignored.push(...scan.ignored);
    } else files.set(path, await attempt(path, () => readResource(path)));
  }
  if (files.size === 0) {
    throw new WeftError('WEFT_NO_RESOURCES', `there is no *.yaml, *.yml or *.json file in ${paths.join(', ')}`, {
      remedy: 'name the directory or the files that hold your resources',
    });
  }
  return { files, ignored };
}

/** A pipe of a shell is as good as a file, but a device has no end. Errors: those of the file. */
async function readResource(path: string): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of createReadStream(path)) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > RESOURCE.fileBytesMax)
      throw new Error(`it is larger than ${RESOURCE.fileBytesMax} bytes, and the control plane would not read it`);
  }
  return Buffer.concat(pieces).toString();
}

/** Follows links: a link to a directory is one. */
async function isDirectory(path: string): Promise<boolean> {
  return (await attempt(path, () => stat(path))).isDirectory();
}

/** What the file system refuses, as an error that names the path as it was written. */
async function attempt<Result>(path: string, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (cause) {
    throw new WeftError('WEFT_CONFIG_FILE', `cannot read ${path}`, { cause, remedy: 'check its name and that you may read it' });
  }
}
