import { type CapabilityName, KEPT } from './capabilities.ts';

/** A user of the machine by numbers, and what programs read of him in their environment. */
export type Account = { uid: number; gid: number; groups: readonly number[]; name: string | null; home: string };

/** What a process may do: as which user, and with which capabilities at most. */
export type Rights = {
  /** Null: the user that starts it. */
  account: Account | null;
  capabilities: readonly CapabilityName[];
  /** Those of them that a user who is not root has too. */
  ambient: readonly CapabilityName[];
};

/** The rights of a workload; `added`: what it was given beyond what each has. */
export function workloadRights(account: Account | null, added: readonly CapabilityName[]): Rights {
  const capabilities = [...new Set([...KEPT, ...added])].sort();
  // Root has its bounding set anyway, and ambient capabilities would survive its change to another user.
  if (account === null || account.uid === 0) return { account, capabilities, ambient: [] };
  // Who is not root keeps nothing by himself: a port below 1024, and what was asked for by name.
  return { account, capabilities, ambient: [...new Set<CapabilityName>(['NET_BIND_SERVICE', ...added])].sort() };
}

/**
 * The rights of a waypoint: it reads pinned maps by root's own files, and opens nothing else that root alone may. Its maps need
 * CAP_BPF, since the machine may forbid bpf(2) to everybody else.
 */
export const WAYPOINT_RIGHTS: Rights = { account: null, capabilities: ['BPF'], ambient: [] };

/** `USER` or `USER:GROUP` as written: names or numbers. */
export type UserText = { user: string; group: string | null };

/** Who owns nothing of a machine. */
const NOBODY: UserText = { user: 'nobody', group: null };

/**
 * Whom a workload runs as when nobody says: who called sudo, or else somebody who owns nothing of the machine. Root only by name:
 * a workload sees the machine's files. `env`: of the process that starts it.
 */
export function usualUser(env: Readonly<Record<string, string | undefined>>): UserText {
  const caller = readUserText(env.SUDO_UID ?? '');
  return caller !== null && /^[1-9]/.test(caller.user) ? caller : NOBODY;
}

/** Reads `USER[:GROUP]`; null when it is neither names nor numbers. */
export function readUserText(text: string): UserText | null {
  const [user = '', group, ...rest] = text.split(':');
  const valid = (part: string): boolean => /^([a-zA-Z_][a-zA-Z0-9_.-]{0,31}\$?|[0-9]{1,10})$/.test(part) && !isTooLarge(part);
  if (rest.length > 0 || !valid(user) || (group !== undefined && !valid(group))) return null;
  return { user, group: group ?? null };
}

/** 2³² − 1 means "leave as it is" to the kernel. */
function isTooLarge(part: string): boolean {
  return /^[0-9]/.test(part) && Number(part) >= 2 ** 32 - 1;
}

/** The variables of the environment that tell a program who it is. */
export function environmentOf({ account }: Rights): Readonly<Record<string, string>> {
  if (account === null) return {};
  const { name, home } = account;
  return { HOME: home, ...(name === null ? {} : { USER: name, LOGNAME: name }) };
}
