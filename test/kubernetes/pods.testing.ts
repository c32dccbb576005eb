import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { type Cluster, ECHO_IMAGE } from '../../testbed/kubernetes/cluster.ts';
import type { Child } from '../../testbed/processes/child.ts';
import type { CommandResult } from '../../testbed/processes/command.ts';

const READY = '90s';

/** A pod of the echo application: HTTP at port 8080, lines that come back at 9090. `probe`: by which it is ready; HTTP where nothing is said. */
export type EchoPod = { name: string; namespace: string; node: string; probe?: object };

/** Makes a namespace in which pods can be made. */
export async function makeNamespace(cluster: Cluster, name: string): Promise<void> {
  await cluster.kubectl('create', 'namespace', name);
  await cluster.kubectl('wait', '--for=create', 'serviceaccount/default', '-n', name, '--timeout', READY);
}

/** Makes pods, each with the label `app` and a Service of its name at ports 80 (HTTP) and 9090 (lines), and waits until they are ready. */
export async function runEchoPods(cluster: Cluster, pods: readonly EchoPod[]): Promise<void> {
  await cluster.api.apply(
    pods
      .flatMap((pod) => [podOf(pod), serviceOf(pod)])
      .map((one) => JSON.stringify(one))
      .join('\n---\n'),
  );
  for (const { name, namespace } of pods) {
    await cluster.kubectl('wait', '--for=condition=Ready', `pod/${name}`, '-n', namespace, '--timeout', READY);
  }
}

/** Pods of a node, of the label `job=yes`, that ask for this as the first thing they do, and end when they were answered. */
export async function makeJobs(
  cluster: Cluster,
  names: readonly string[],
  { node, url, namespace = 'shop' }: { node: string; url: string; namespace?: string },
): Promise<void> {
  const container = { name: 'job', image: ECHO_IMAGE, imagePullPolicy: 'Never', command: ['/echo', 'get', url, '20s'] };
  const spec = { nodeName: node, restartPolicy: 'OnFailure', terminationGracePeriodSeconds: 0, containers: [container] };
  const podNamed = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { job: 'yes' } },
    spec,
  });
  await cluster.api.apply(names.map((name) => JSON.stringify(podNamed(name))).join('\n---\n'));
}

/** The address of a pod. */
export function addressOf(cluster: Cluster, { name, namespace }: EchoPod): Promise<string> {
  return cluster.kubectl('get', 'pod', name, '-n', namespace, '-o', 'jsonpath={.status.podIP}');
}

/** The address of the Service of a pod's name. */
export function serviceAddressOf(cluster: Cluster, { name, namespace }: EchoPod): Promise<string> {
  return cluster.kubectl('get', 'service', name, '-n', namespace, '-o', 'jsonpath={.spec.clusterIP}');
}

/** One request from a pod: `host=POD from=ADDRESS path=/PATH`, or why there was no answer. */
export function ask(cluster: Cluster, { name, namespace }: EchoPod, url: string): Promise<CommandResult> {
  return cluster.api.tryKubectl('exec', name, '-n', namespace, '--', '/echo', 'get', url);
}

/** A connection of a pod's that stays open, with a line back and forth every 100 ms, until it is stopped. */
export function keepTalking(cluster: Cluster, { name, namespace }: EchoPod, address: string): Child {
  return cluster.start(
    `talk-${name}`,
    cluster.api.kubectlLine(['exec', '-i', name, '-n', namespace, '--', '/echo', 'talk', address]),
  );
}

/**
 * Requests of a pod's, one by one on a connection that stays and one by one on new ones, some hundred a second; `end` tells how they
 * went: a line for each that failed, and in the end `good=N failed=N`.
 */
export function keepAsking(cluster: Cluster, { name, namespace }: EchoPod, url: string): { end(): Promise<string> } {
  const [program = '', ...words] = cluster.api.kubectlLine(['exec', '-i', name, '-n', namespace, '--', '/echo', 'load', url]);
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const printed = text(child.stdout);
  return {
    end() {
      child.stdin.end();
      return printed;
    },
  };
}

function podOf({ name, namespace, node, probe = { httpGet: { port: 8080, path: '/ready' } } }: EchoPod): object {
  const container = {
    name: 'echo',
    image: ECHO_IMAGE,
    imagePullPolicy: 'Never',
    command: ['/echo', 'serve'],
    readinessProbe: { ...probe, periodSeconds: 1 },
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name } },
    spec: { nodeName: node, terminationGracePeriodSeconds: 0, containers: [container] },
  };
}

function serviceOf({ name, namespace }: EchoPod): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: {
      selector: { app: name },
      ports: [
        { name: 'http', port: 80, targetPort: 8080 },
        { name: 'tcp-lines', port: 9090 },
      ],
    },
  };
}
