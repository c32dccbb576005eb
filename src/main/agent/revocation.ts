import { readFile, stat } from 'node:fs/promises';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { messageOf } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import { parseRevocationLists, type RevocationList } from '#protocol/identity/revocation.ts';

/**
 * Reads revocation lists from a file, now and whenever it changes, and tells them; null: there is no file to follow. One that is
 * missing or cannot be read is told, and the lists from before go on to hold.
 */
export function followRevocations(
  file: string | null,
  hearer: { revoked(lists: readonly RevocationList[]): void },
  { clock, log }: { clock: Clock; log: Log },
): Cancel {
  if (file === null) return () => {};
  let [seen, problem] = ['', ''];
  const look = async (): Promise<void> => {
    try {
      const { mtimeMs, size, ino } = await stat(file);
      const version = `${mtimeMs} ${size} ${ino}`;
      if (version === seen) return;
      const lists = parseRevocationLists(await readFile(file));
      seen = version;
      problem = '';
      hearer.revoked(lists);
      const revoked = lists.reduce((sum, { serials }) => sum + serials.length, 0);
      log.info({ file, resources: revoked }, 'certificates on revocation lists');
    } catch (error) {
      if (messageOf(error) !== problem) log.warn({ file, err: error }, 'no revocation list from this file');
      problem = messageOf(error);
    }
  };
  const begin = (): void => {
    look().catch(toLastResort);
  };
  begin();
  return clock.every(AGENT.crlLookMs, begin);
}
