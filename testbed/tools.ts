import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';

/** Programs the demo runs, with the Debian package of each. */
const TOOLS: readonly { name: string; packageName: string; checksOnly: boolean }[] = [
  { name: 'ip', packageName: 'iproute2', checksOnly: false },
  { name: 'nsenter', packageName: 'util-linux', checksOnly: false },
  { name: 'mount', packageName: 'mount', checksOnly: false },
  { name: 'sysctl', packageName: 'procps', checksOnly: false },
  { name: 'ss', packageName: 'iproute2', checksOnly: true },
  { name: 'tcpdump', packageName: 'tcpdump', checksOnly: true },
  { name: 'bpftool', packageName: 'bpftool', checksOnly: true },
];

/** Returns when every program is there that the demo needs, with its checks or without. Errors: WEFT_DEMO_TOOLS naming all that are missing. */
export async function requireTools(withChecks: boolean, searchPath = process.env.PATH ?? ''): Promise<void> {
  const missing = [];
  for (const tool of TOOLS) {
    if ((withChecks || !tool.checksOnly) && !(await isOnPath(tool.name, searchPath))) missing.push(tool);
  }
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(({ packageName }) => packageName))].join(' ');
  throw new WeftError(
    'WEFT_DEMO_TOOLS',
    `the demo needs programs that are not installed: ${missing.map(({ name }) => name).join(', ')}`,
    {
      remedy: `install them (Debian: apt-get install ${packages}), or run make setup`,
    },
  );
}

async function isOnPath(name: string, searchPath: string): Promise<boolean> {
  for (const dir of searchPath.split(':')) {
    if (
      await access(join(dir, name), constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return true;
  }
  return false;
}
