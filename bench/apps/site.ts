import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startWorkload } from '#testbed/lab/app.ts';
import { command } from '#testbed/processes/command.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { type Bare, bareWay, startBare } from '../rig/bare.ts';
import { announced, CPU, NAMESPACE, type Rig, wayOfClient } from '../rig/rig.ts';
import type { Way } from '../rig/way.ts';

const READY_MS = 30_000;
const COMMAND_MS = 60_000;
/** Services of the applications begin here; each member of each has one. */
const FIRST_VIP = 64;

/** Whether an application's servers are on the client's node or on the other. */
export type Distance = 'near' | 'far';

/** A server of an application. `user`: what of this machine it runs as, where it refuses to be root. */
export type Member = {
  name: string;
  /** Beside the client, or where the distance says. */
  at: 'client' | 'server';
  /** No two members of an application have the same: outside of the mesh they may share an address. */
  ports: readonly number[];
  user?: string;
};

/** Where an application runs: in the mesh, or on plain TCP beside it. */
export type Site = {
  /** Distinguishes data of one site from another's. */
  name: string;
  /** A directory of a member, on memory: it belongs to the member's user. */
  dataOf(member: Member): Promise<string>;
  /** The address at which the other members and the client reach a member. */
  host(member: Member): string;
  start(member: Member, line: readonly string[]): Promise<void>;
  /** Runs a program beside the client. Errors: WEFT_TESTBED_COMMAND. */
  ask(line: readonly string[]): Promise<string>;
};

/** Tries until what a program printed beside the client satisfies. Errors: WEFT_TESTBED_TIMEOUT. */
export async function ready(
  site: Site,
  what: string,
  line: readonly string[],
  satisfies: (printed: string) => boolean,
): Promise<void> {
  await waitUntil(`${what} of ${site.name}`, READY_MS, async () => satisfies(await site.ask(line)));
}

/** Sites of both kinds at both distances. */
export type Sites = Record<'weft' | 'plain', Record<Distance, Site>>;

/** The sites of an application whose members are these; in the mesh each becomes a service. Data lies below `dir`. */
export async function sitesOf(rig: Rig, bare: Bare, dir: string, app: string, members: readonly Member[]): Promise<Sites> {
  return {
    weft: {
      near: await meshSite(rig, dir, `${app}-near`, 'near', members),
      far: await meshSite(rig, dir, `${app}-far`, 'far', members),
    },
    plain: {
      near: bareSite(rig, bare, dir, `${app}-plain-near`, 'near'),
      far: bareSite(rig, bare, dir, `${app}-plain-far`, 'far'),
    },
  };
}

/** A directory on memory for the data of all sites, so that no row measures a disk. It goes with the rig. */
export async function memoryDir(rig: Rig): Promise<string> {
  const dir = join(rig.dir, 'data');
  await mkdir(dir);
  // Members run as users of their own, who must get there.
  await chmod(rig.dir, 0o711);
  await command(['mount', '-t', 'tmpfs', '-o', 'mode=0711', 'weft-bench', dir]);
  rig.atEnd(async () => void (await command(['umount', '-l', dir])));
  return dir;
}

async function dataDir(dir: string, site: string, { name, user }: Member): Promise<string> {
  const data = join(dir, `${site}-${name}`);
  await mkdir(data, { mode: 0o700 });
  if (user !== undefined) await command(['chown', user, data]);
  return data;
}

let vips = FIRST_VIP;

async function meshSite(rig: Rig, dir: string, name: string, distance: Distance, members: readonly Member[]): Promise<Site> {
  const vipOf = new Map(members.map((member) => [member.name, `10.96.0.${vips++}`]));
  const host = (member: Member): string => vipOf.get(member.name) ?? '';
  const services = members.map((member) => serviceYaml(`${name}-${member.name}`, host(member), member.ports));
  await writeFile(join(rig.lab.configDir, `${name}.yaml`), services.join('---\n'));
  const way = await wayOfClient(rig, { host: '', port: '', carriers: [] });
  return {
    name,
    host,
    dataOf: (member) => dataDir(dir, name, member),
    ask: (line) => askBeside(way, line),
    start: async ({ name: part, at, user }, line) => {
      const beside = at === 'client' || distance === 'near';
      const label = `${name}-${part}`;
      const cpu = at === 'client' ? CPU.client : CPU.server;
      await startWorkload(
        rig.plan,
        {
          name: label,
          node: beside ? 'alpha' : 'beta',
          namespace: NAMESPACE,
          serviceAccount: label,
          labels: { app: label },
          ...(user === undefined ? {} : { user }),
          command: announced(['taskset', '-c', cpu, ...line]),
        },
        rig.spawn,
      );
    },
  };
}

function bareSite(rig: Rig, bare: Bare, dir: string, name: string, distance: Distance): Site {
  const pair = bare[distance];
  const way = bareWay(rig, pair, { host: pair.address, port: 0 }, []);
  return {
    name,
    host: ({ at }) => (at === 'client' ? pair.clientAddress : pair.address),
    dataOf: (member) => dataDir(dir, name, member),
    ask: (line) => askBeside(way, line),
    start: async ({ at, user }, line) => {
      const netns = at === 'client' ? pair.client : pair.server;
      startBare(rig, netns, at === 'client' ? CPU.client : CPU.server, asUser(user, line));
    },
  };
}

function askBeside(way: Way, line: readonly string[]): Promise<string> {
  return command(way.atClient(line), COMMAND_MS);
}

/** The command, run as a user of this machine. */
export function asUser(user: string | undefined, line: readonly string[]): readonly string[] {
  return user === undefined ? line : ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--clear-groups', ...line];
}

function serviceYaml(name: string, vip: string, ports: readonly number[]): string {
  const lines = ports.map((port) => `    - { name: p${port}, port: ${port}, targetPort: ${port} }\n`).join('');
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  clusterIP: ${vip}
  selector: { app: ${name} }
  ports:
${lines}`;
}
