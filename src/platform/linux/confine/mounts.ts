/** One line of /proc/PID/mountinfo. */
export type Mount = {
  /** `major:minor`: two mounts with the same one show the same file system. */
  device: string;
  /** Which directory of the file system is mounted. */
  root: string;
  point: string;
  options: readonly string[];
  type: string;
  superOptions: readonly string[];
};

/** Parses the text of a mountinfo file; order is kept: a later mount covers an earlier one. Source: proc_pid_mountinfo(5). */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , device = '', root = '', point = '', options = ''] = before.split(' ');
    const [type = '', , superOptions = ''] = after.split(' ');
    if (type === '') return [];
    return [
      {
        device,
        root: plain(root),
        point: plain(point),
        options: options.split(','),
        type,
        superOptions: superOptions.split(','),
      },
    ];
  });
}

/**
 * Every name under which a path can be reached: by itself, through other mounts of the same file system (a root that is bound
 * elsewhere, as chroots and build tools do), and the points where a part of it is mounted.
 */
export function namesOf(path: string, mounts: readonly Mount[]): string[] {
  const own = mountOf(path, mounts);
  if (own === null) return [path];
  const inside = joined(own.root, relativeTo(path, own.point));
  const names = mounts
    .filter(({ device }) => device === own.device)
    .flatMap(({ root, point }) => {
      if (isWithin(inside, root)) return [joined(point, relativeTo(inside, root))];
      return isWithin(root, inside) ? [point] : [];
    });
  return [...new Set([path, ...names])];
}

/** Whether a path is that directory or lies below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
}

/** The options that a remount would lose unless they are said again. */
export function lastingOptions(mount: Mount | undefined): readonly string[] {
  const kept = new Set(['nosuid', 'nodev', 'noexec', 'noatime', 'nodiratime', 'relatime']);
  return (mount?.options ?? []).filter((option) => kept.has(option));
}

function mountOf(path: string, mounts: readonly Mount[]): Mount | null {
  let best: Mount | null = null;
  for (const mount of mounts) {
    if (isWithin(path, mount.point) && mount.point.length >= (best?.point.length ?? 0)) best = mount;
  }
  return best;
}

/** What follows `directory` in a path below it; '' for itself. */
function relativeTo(path: string, directory: string): string {
  return path.slice(directory.length).replace(/^\//, '');
}

function joined(directory: string, rest: string): string {
  if (rest === '') return directory;
  return directory.endsWith('/') ? `${directory}${rest}` : `${directory}/${rest}`;
}

/** Blanks and the like are written as octal numbers. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
