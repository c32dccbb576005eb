import { WeftError } from '#model/error.ts';
import type { CapabilityName } from '#model/rights/capabilities.ts';
import type { Account, Rights, UserText } from '#model/rights/rights.ts';
import { type CommandResult, findProgram, runCommand } from '#platform/linux/process/command.ts';

/**
 * The command line that gives up every right but these and becomes what follows it; `setpriv` is the program's path. No program
 * started later can have more: the bounding set is cut, and set-user-id bits and file capabilities count for nothing.
 * `endsWithParent`: the kernel kills it when the process that started it ends, however that ends.
 */
export function setprivArgv(
  setpriv: string,
  { account, capabilities, ambient }: Rights,
  options: { endsWithParent: boolean } = { endsWithParent: false },
): readonly string[] {
  const only = (names: readonly CapabilityName[]): string => ['-all', ...names.map((name) => `+${name.toLowerCase()}`)].join(',');
  const identity =
    account === null
      ? []
      : [
          `--reuid=${account.uid}`,
          `--regid=${account.gid}`,
          account.groups.length === 0 ? '--clear-groups' : `--groups=${account.groups.join(',')}`,
        ];
  return [
    setpriv,
    '--no-new-privs',
    ...(options.endsWithParent ? ['--pdeathsig=KILL'] : []),
    ...identity,
    `--bounding-set=${only(capabilities)}`,
    `--inh-caps=${only(ambient)}`,
    `--ambient-caps=${only(ambient)}`,
    '--',
  ];
}

/** Runs a program to its end; `runCommand` unless a test stands in. */
export type Ask = (program: string, args: readonly string[]) => Promise<CommandResult>;

/**
 * The user that `USER[:GROUP]` means on this machine, by all the sources it knows users from. A number that no user has is taken
 * as it is, with a group of the same number: never root's. A group that is named replaces the user's groups, as in container tools.
 * Errors: WEFT_NO_USER.
 */
export async function findAccount({ user, group }: UserText, ask: Ask = runCommand): Promise<Account> {
  const getent = findProgram('getent', 'libc-bin');
  const entry = await fieldsOf(ask, getent, ['passwd', user]);
  if (entry === null && !/^[0-9]+$/.test(user)) throw unknown('user', user);
  const uid = Number(entry?.[2] ?? user);
  const primary = Number(entry?.[3] ?? user);
  const name = entry?.[0] ?? null;
  const home = entry?.[5] ?? '/';
  if (group !== null) return { uid, gid: await groupOf(ask, getent, group), groups: [], name, home };
  return { uid, gid: primary, groups: name === null ? [] : await groupsOf(ask, name), name, home };
}

async function groupOf(ask: Ask, getent: string, group: string): Promise<number> {
  const entry = await fieldsOf(ask, getent, ['group', group]);
  if (entry === null && !/^[0-9]+$/.test(group)) throw unknown('group', group);
  return Number(entry?.[2] ?? group);
}

async function groupsOf(ask: Ask, name: string): Promise<number[]> {
  const told = await ask(findProgram('id', 'coreutils'), ['-G', '--', name]);
  return told.kind === 'done' ? told.stdout.trim().split(/\s+/).map(Number) : [];
}

async function fieldsOf(ask: Ask, getent: string, args: readonly string[]): Promise<string[] | null> {
  const told = await ask(getent, args);
  const line = told.kind === 'done' ? told.stdout.trim() : '';
  return line === '' ? null : line.split(':');
}

function unknown(what: 'user' | 'group', name: string): WeftError {
  return new WeftError('WEFT_NO_USER', `this machine has no ${what} "${name}"`, {
    remedy: `write --user with a name that getent ${what === 'user' ? 'passwd' : 'group'} shows, or with numbers`,
  });
}
