import type { KnownHolding } from '#model/instance/holding.ts';
import { type CheckFinding, found } from './finding.ts';
import type { FindingLevel } from './row.ts';

/** What an agent says of itself, as far as it can be wrong. Times are ISO texts; `notAfter` '' for none yet. */
export type AgentView = {
  node: string;
  version: string;
  controlPlane: { address: string; connected: boolean; syncedAt: string | null; error: string | null };
  certificates: readonly { identity: string; notAfter: string; error: string | null }[];
  enrolled: readonly { namespace: string; name: string; problem: string | null }[];
  degraded: readonly string[];
};

/** An agent of this machine. `silent`: its process lives; `gone`: it does not, and its node is still here. */
export type AgentFacts =
  | { kind: 'up'; status: AgentView }
  | { kind: 'silent'; node: string; reason: string }
  | { kind: 'gone'; node: string; left: string };

/** Something wrong with a resource, as `weft validate` tells it. */
export type ResourceFinding = {
  code: string;
  severity: FindingLevel;
  origin: { kind: 'file'; file: string; line: number } | { kind: 'object' };
  resource: string;
  fieldPath: string;
  message: string;
  remedy: string;
};

/** What a control plane says of itself, as far as it can be wrong. */
export type ControlView = {
  version: string;
  rivals: readonly { node: string; from: string; also: string }[];
  waypoints: readonly { namespace: string; gateway: string; state: string; problem: string | null }[];
  findings: readonly ResourceFinding[];
  outOfDate: readonly string[];
};

/** The control plane of this machine. */
export type ControlFacts = { kind: 'up'; status: ControlView } | { kind: 'absent' } | { kind: 'down'; reason: string };

/** What dead meshes left on this machine. */
export type Leftovers = { pins: readonly { node: string; path: string }[]; namespaces: readonly string[] };

/** How an agent answered, by its socket. */
export type AgentAnswer = { kind: 'up'; status: AgentView } | { kind: 'down'; node: string; error: string };

/**
 * Every agent of this machine: those below `runDir` that answered or should have, and those of any run directory that ended and
 * left their node. A register that knows nothing of a node says nothing against its agent being dead.
 */
export function agentsHere(answers: readonly AgentAnswer[], known: readonly KnownHolding[], runDir: string): AgentFacts[] {
  const up = answers.filter((answer) => answer.kind === 'up');
  const living = new Set(up.map(({ status }) => status.node));
  const down = answers.filter((answer) => answer.kind === 'down');
  const unknown = down.filter(({ node }) => !known.some((holding) => holding.node === node));
  const others = known.filter(({ node, runDir: place, state }) => !living.has(node) && (state === 'dead' || place === runDir));
  return [
    ...up,
    ...unknown.map(({ node }): AgentFacts => ({ kind: 'gone', node, left: `its socket below ${runDir}` })),
    ...others.map(({ node, state, runDir: place, bpffs }): AgentFacts => {
      const reason = down.find((answer) => answer.node === node)?.error ?? 'its socket is gone';
      if (state === 'alive') return { kind: 'silent', node, reason };
      return { kind: 'gone', node, left: `programs in ${bpffs}/weft/${node}, and its place in ${place}` };
    }),
  ];
}

/** What is wrong with an agent; `version`: that of the program that asks. */
export function agentFindings(agent: AgentFacts, version: string, nowMs: number): CheckFinding[] {
  if (agent.kind === 'silent')
    return [found('WEFT_CHECK_AGENT_SILENT', `node ${agent.node}: its agent runs and does not answer: ${agent.reason}`)];
  if (agent.kind === 'gone') return [found('WEFT_NO_AGENT', `node ${agent.node}: its agent has ended, and left ${agent.left}`)];
  const { node, controlPlane, certificates, enrolled, degraded } = agent.status;
  const why = controlPlane.error === null ? '' : `: ${controlPlane.error}`;
  return [
    ...(controlPlane.connected
      ? []
      : [found('WEFT_CHECK_NOT_CONNECTED', `node ${node} is not connected to ${controlPlane.address}${why}`)]),
    ...versionFindings(`the agent of node ${node}`, agent.status.version, version),
    ...certificates.flatMap((certificate) => certificateFindings(node, certificate, nowMs)),
    ...enrolled.flatMap(({ namespace, name, problem }) =>
      problem === null ? [] : [found('WEFT_CHECK_WORKLOAD', `node ${node}: workload ${namespace}/${name}: ${problem}`)],
    ),
    ...degraded.map((sentence) => found('WEFT_CHECK_DEGRADED', `node ${node}: ${sentence}`)),
  ];
}

function certificateFindings(
  node: string,
  { identity, notAfter, error }: AgentView['certificates'][number],
  nowMs: number,
): CheckFinding[] {
  const why = error === null ? '' : `: ${error}`;
  if (notAfter !== '' && Date.parse(notAfter) <= nowMs)
    return [found('WEFT_CHECK_CERTIFICATE_EXPIRED', `node ${node}: the certificate of ${identity} has expired${why}`)];
  return error === null
    ? []
    : [found('WEFT_CHECK_CERTIFICATE_RENEWAL', `node ${node}: the certificate of ${identity} cannot be renewed${why}`)];
}

/** What is wrong with the control plane of this machine. */
export function controlFindings(control: ControlFacts, version: string): CheckFinding[] {
  if (control.kind === 'absent') return [];
  if (control.kind === 'down') return [found('WEFT_NO_CONTROL', `the control plane does not answer: ${control.reason}`)];
  const { status } = control;
  return [
    ...versionFindings('the control plane', status.version, version),
    ...status.rivals.map(({ node, from, also }) =>
      found('WEFT_CHECK_NODE_TWICE', `node ${node} is at ${from}, and ${also} came with its token and was refused`),
    ),
    ...status.waypoints.flatMap(({ namespace, gateway, problem }) =>
      problem === null ? [] : [found('WEFT_CHECK_WAYPOINT', `waypoint ${namespace}/${gateway}: ${problem}`)],
    ),
    ...status.outOfDate.map((sentence) => found('WEFT_CHECK_BEHIND', sentence)),
  ];
}

/** What is wrong with resources, under the codes of `weft validate`. */
export function resourceFindings(findings: readonly ResourceFinding[]): CheckFinding[] {
  return findings.map(({ code, severity, origin, resource, fieldPath, message, remedy }) => {
    const place = origin.kind === 'file' ? `${origin.file}:${origin.line}: ` : '';
    const subject = [resource, fieldPath].filter((part) => part !== '').join(' ');
    const why =
      severity === 'error' ? 'The document is not in force; what it said before is.' : 'Not all of it does what it says.';
    const told = `${place}${subject}${subject === '' ? '' : ': '}${message}`;
    return { code, level: severity, area: 'configuration', message: told, why, remedy };
  });
}

function versionFindings(who: string, theirs: string, ours: string): CheckFinding[] {
  const gap = versionGap(theirs, ours);
  if (gap === 'none') return [];
  const message = `${who} is of version ${theirs}, this program of ${ours}`;
  return [found(gap === 'small' ? 'WEFT_CHECK_VERSION' : 'WEFT_CHECK_VERSION_GAP', message)];
}

/** How far two versions are apart: `large` beyond one minor version; what is no version is small, as nobody knows. */
export function versionGap(a: string, b: string): 'none' | 'small' | 'large' {
  if (a === b) return 'none';
  const [one, other] = [a, b].map((text) => /^(\d+)\.(\d+)/.exec(text));
  if (one == null || other == null) return 'small';
  if (one[1] !== other[1]) return 'large';
  return Math.abs(Number(one[2]) - Number(other[2])) > 1 ? 'large' : 'small';
}

/** What dead meshes left. */
export function leftoverFindings({ pins, namespaces }: Leftovers): CheckFinding[] {
  return [
    ...pins.map(({ node, path }) =>
      found(
        'WEFT_CHECK_PINS',
        `${path} holds programs of node ${node}, which no agent has`,
        `remove them: weft agent --cleanup --node ${node}`,
      ),
    ),
    ...namespaces.map((name) =>
      found('WEFT_CHECK_NAMESPACE', `the network namespace ${name} belongs to no node`, `remove it: ip netns delete ${name}`),
    ),
  ];
}
