import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

// For what may end or go while it is looked at, or be somebody else's: what cannot be seen is as if it were not there.

/** Names in a folder, in no order. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Where a link leads; '' where there is none. */
export function linkAt(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** What a file says; '' where there is none. */
export function textAt(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
