import { constants } from 'node:os';

const NAMES = new Map(Object.entries(constants.errno).map(([name, code]) => [code, name]));

/** `ENOENT` for 2; `errno 9999` for an unknown number. */
export function errnoName(code: number): string {
  return NAMES.get(Math.abs(code)) ?? `errno ${code}`;
}

/** No such entry. */
export const ENOENT = constants.errno.ENOENT;
