import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Cluster } from '../../testbed/kubernetes/cluster.ts';
import { kubernetesPrograms } from '../../testbed/kubernetes/programs.ts';
import { tryCommand } from '../../testbed/processes/command.ts';
import { SKIP_NODES } from './cluster.testing.ts';

/** Where the suite is; null: it was not built. */
export const SUITE = await kubernetesPrograms('conformance');

/** For a test's options: why what needs the suite or cluster DNS does not run; false when it does. */
export const SKIP_SUITE =
  SKIP_NODES !== false || SUITE !== null
    ? SKIP_NODES
    : 'CONFORMANCE AND WAYPOINTS ON NODES ARE NOT TESTED HERE: their programs are not built (make test-kubernetes builds them)';

/** The namespaces that the suite makes, and removes in the end. */
export const SUITE_NAMESPACES = ['gateway-conformance-mesh', 'gateway-conformance-mesh-consumer'];
const PROFILES = 'MESH-HTTP,MESH-GRPC';
const RUN_MS = 1_500_000;
const READY = '90s';

/** How the mesh's tests went; the report's text is as the suite wrote it. */
export type SuiteOutcome = { passed: number; failed: string[]; skipped: number; report: string; output: string };

/** Names of services, as every cluster has them: a waypoint finds the control plane by one. */
export async function startDns(cluster: Cluster, programs: string): Promise<void> {
  await cluster.loadImage(join(programs, 'images', 'coredns.tar'));
  await cluster.kubectl('apply', '-f', 'testbed/kubernetes/dns.yaml');
  await cluster.kubectl('rollout', 'status', 'deployment/coredns', '-n', 'kube-system', '--timeout', READY);
}

/** The Gateway API's own mesh suite, beside the control plane of a cluster. */
export class MeshSuite {
  readonly #cluster: Cluster;
  readonly #programs: string;
  #runs = 0;

  /** Gives a cluster what the suite needs: its definitions, names of services, and its application's image. */
  static async prepare(cluster: Cluster, programs: string): Promise<MeshSuite> {
    await cluster.loadImage(join(programs, 'images', 'echo.tar'));
    // Of its own version and of one channel, whatever was installed before: it begins with no other, and some are of one channel alone.
    const installed = (await cluster.kubectl('get', 'crds', '-o', 'name')).trim().split('\n');
    const experimental = installed.filter((name) => name.endsWith('.gateway.networking.x-k8s.io'));
    if (experimental.length > 0) await cluster.kubectl('delete', ...experimental);
    await cluster.kubectl('apply', '--server-side', '--force-conflicts', '-f', join(programs, 'crds'));
    await startDns(cluster, programs);
    return new MeshSuite(cluster, programs);
  }

  private constructor(cluster: Cluster, programs: string) {
    this.#cluster = cluster;
    this.#programs = programs;
  }

  /** Runs all tests of both mesh profiles with all features that there are, or with `only` one test. `labels` are put on its namespaces. */
  async run(mode: string, labels: Record<string, string>, only: string | null = null): Promise<SuiteOutcome> {
    const { dir, api } = this.#cluster;
    const report = join(dir, `report-${this.#runs++}.yaml`);
    const features = (await readFile('testbed/kubernetes/modules/conformance/features.txt', 'utf8')).trim().split('\n');
    const own = ['Mesh', 'HTTPRoute', 'GRPCRoute'];
    const flags = {
      'conformance-profiles': PROFILES,
      'supported-features': [...own, ...features].join(','),
      'namespace-labels': Object.entries(labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(','),
      'report-output': report,
      ...{
        organization: 'weft',
        project: 'weft',
        url: 'https://weft.dev',
        version: 'v0.1.0',
        contact: '@weft/maintainers',
        mode,
      },
      ...(only === null ? {} : { 'run-test': only }),
    };
    const words = Object.entries(flags).map(([name, value]) => `-${name}=${value}`);
    const env = ['env', `KUBECONFIG=${api.kubeconfig}`, join(this.#programs, 'conformance.test')];
    const line = [...env, '-test.v', '-test.run', '^TestConformance$', '-test.timeout', `${RUN_MS}ms`, ...words];
    const { stdout, stderr } = await tryCommand(this.#cluster.beside(line), RUN_MS);
    const output = `${stdout}\n${stderr}`;
    // Those of gateways at the edge of a cluster are no claim of a mesh: the suite skips them.
    const verdicts = [...output.matchAll(/^ {4}--- (PASS|FAIL|SKIP): TestConformance\/(Mesh\w+)/gm)];
    const those = (verdict: string) => verdicts.filter(([, is]) => is === verdict).map(([, , name = '']) => name);
    return {
      passed: those('PASS').length,
      failed: those('FAIL'),
      skipped: those('SKIP').length,
      report: await readFile(report, 'utf8').catch(() => ''), // a run that broke off has written none
      output,
    };
  }
}

/** What a report says of each profile: `PROFILE core=success 7/0/0 extended=success 5/0/0` (passed, failed, skipped). */
export function sumOf(report: string): string[] {
  const { profiles } = parse(report) as { profiles: Profile[] };
  const part = ({ result, statistics: { Passed, Failed, Skipped } }: Part) => `${result} ${Passed}/${Failed}/${Skipped}`;
  return profiles.map(
    ({ name, core, extended }) =>
      `${name} core=${part(core)}${extended === undefined ? '' : ` extended=${part(extended)} unsupported=${extended.unsupportedFeatures?.length ?? 0}`}`,
  );
}

type Part = { result: string; statistics: { Passed: number; Failed: number; Skipped: number } };
type Profile = { name: string; core: Part; extended?: Part & { unsupportedFeatures?: string[] } };
