import { writeFile } from 'node:fs/promises';
import type { BenchGroup } from '#cli/look-and-check.ts';
import { memoryDir } from './apps/site.ts';
import { makeCertificates } from './peers/certificates.ts';
import { envoyWeb } from './peers/envoy.ts';
import { haproxyPair, haproxyWeb } from './peers/haproxy.ts';
import { relayPair } from './peers/relay.ts';
import { type Row, renderRows } from './report/report.ts';
import { type Bare, bareNamespaces, bareWay } from './rig/bare.ts';
import { meshFeatures } from './rig/features.ts';
import { LOAD_PORT, meshWay, type Rig, rigUp } from './rig/rig.ts';
import { meshWeb } from './rig/web.ts';
import { type ApplicationName, applicationVersion, appTrials } from './rows/apps.ts';
import { type CrossWays, crossTrials, smallTrials } from './rows/cross.ts';
import { featureTrials } from './rows/features.ts';
import { memoryTrials } from './rows/memory.ts';
import { sameTrials } from './rows/same.ts';
import { syncTrials } from './rows/sync.ts';
import { runTrial, type Trial } from './rows/trial.ts';
import { waypointTrials } from './rows/waypoint.ts';

/** `interrupted`: aborted by Ctrl-C and its like; everything is removed, then the bench ends. */
export type BenchRequest = {
  jsonPath: string | null;
  /** Only these groups of rows, in this order. */
  groups: readonly BenchGroup[];
  out: (text: string) => void;
  interrupted: AbortSignal;
};

/** Runs every comparison of the groups, prints the table, and writes it as JSON to `jsonPath`. Returns the exit code. */
export async function runBench({ jsonPath, groups, out, interrupted }: BenchRequest): Promise<number> {
  out('building two nodes …\n');
  const rig = await rigUp();
  const rows: Row[] = [];
  let bare: Bare | null = null;
  let code: number | null = null;
  try {
    bare = await bareNamespaces(rig);
    code = await measure(trialsOf(rig, bare, out), rows, { groups, out, interrupted });
    if (code === 0 && jsonPath !== null) await writeFile(jsonPath, `${JSON.stringify({ rows }, null, 2)}\n`);
    return code;
  } finally {
    // What was measured before an error or Ctrl-C is worth seeing.
    if (rows.length > 0) out(`\n${renderRows(rows)}\n`);
    await bare?.down();
    await rig.down(code === null);
  }
}

type Groups = Record<BenchGroup, () => Promise<Trial[]>>;

/** Adds the rows of the groups to `rows`. Returns the exit code. */
async function measure(
  trials: Groups,
  rows: Row[],
  { groups, out, interrupted }: Omit<BenchRequest, 'jsonPath'>,
): Promise<number> {
  for (const group of groups) {
    for (const trial of await trials[group]()) {
      out(`measuring ${trial.rows.map(({ id }) => id).join(', ')} …\n`);
      const found = await runTrial(trial, interrupted);
      if (found === null) return 130;
      rows.push(...found);
    }
  }
  return 0;
}

/** What several groups use is made for the first that does. */
function onlyOnce<Made>(make: () => Promise<Made>): () => Promise<Made> {
  let made: Promise<Made> | null = null;
  return () => {
    made ??= make();
    return made;
  };
}

/** How the trials of each group are made. */
function trialsOf(rig: Rig, bare: Bare, out: BenchRequest['out']): Groups {
  const { load, dir } = rig;
  const cross = onlyOnce(async (): Promise<CrossWays> => {
    await makeCertificates(dir);
    return { weft: await meshWay(rig, 'far'), relay: await relayPair(rig, bare), haproxy: await haproxyPair(rig, bare) };
  });
  const waypoint = onlyOnce(() => meshWeb(rig));
  const web = onlyOnce(async () => {
    return { weft: await waypoint(), haproxy: await haproxyWeb(rig, bare), envoy: await envoyWeb(rig, bare) };
  });
  const memory = onlyOnce(() => memoryDir(rig));
  const app = async (name: ApplicationName): Promise<Trial[]> => {
    out(await applicationVersion(name));
    return appTrials(rig, bare, await memory(), name);
  };
  return {
    same: async () => {
      const plain = bareWay(rig, bare.near, { host: bare.near.address, port: LOAD_PORT }, []);
      return sameTrials(load, await meshWay(rig, 'near'), plain);
    },
    cross: async () => crossTrials(load, await cross()),
    small: async () => smallTrials(load, await cross()),
    waypoint: async () => {
      return waypointTrials(load, dir, await web());
    },
    features: async () => featureTrials(await meshFeatures(rig, await waypoint()), dir),
    memory: async () => memoryTrials(rig, await cross(), await web()),
    sync: async () => syncTrials(rig, await meshWay(rig, 'far')),
    redis: () => app('redis'),
    postgres: () => app('postgres'),
    etcd: () => app('etcd'),
  };
}
