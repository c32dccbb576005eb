import { readFile } from 'node:fs/promises';

/** Mount points at or below `dir`, in the order they were mounted. */
export async function mountsBelow(dir: string): Promise<string[]> {
  return parseMountPoints(await readFile('/proc/self/mountinfo', 'utf8')).filter(
    (path) => path === dir || path.startsWith(`${dir}/`),
  );
}

/** The mount points in the text of /proc/self/mountinfo, with its octal escapes undone (proc(5)). */
export function parseMountPoints(mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => line.split(' ')[4])
    .filter((path) => path !== undefined)
    .map((path) => path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
}
