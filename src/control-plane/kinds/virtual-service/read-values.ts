import type { HeaderChanges } from '#model/waypoint/config.ts';
import type { StringMatch } from '#model/waypoint/virtual.ts';
import type { RawHeaderOperations, RawStringMatch } from './schema.ts';

/** Without any text it only has to be there. */
export function readStringMatch({ exact, prefix, regex }: RawStringMatch): StringMatch {
  if (exact !== undefined) return { type: 'exact', value: exact };
  if (prefix !== undefined) return { type: 'prefix', value: prefix };
  return regex === undefined ? { type: 'present', value: '' } : { type: 'regex', value: regex };
}

/** Null: nothing is changed. The authority goes by the name `host`. */
export function readChanges({ set = {}, add = {}, remove = [] }: RawHeaderOperations = {}): HeaderChanges | null {
  const pairs = (record: Record<string, string>) =>
    Object.entries(record).map(([name, value]) => ({ name: name === ':authority' ? 'host' : name, value }));
  const changes = { set: pairs(set), add: pairs(add), remove: [...remove] };
  return changes.set.length + changes.add.length + changes.remove.length === 0 ? null : changes;
}
