import { type Command, InvalidArgumentError } from 'commander';
import { convertedFrom } from '#model/mesh/authorization.ts';
import type { AgentStatus } from '#protocol/api/agent.ts';
import type { ConditionStatus, ControlStatus, FindingStatus } from '#protocol/api/control.ts';
import { DESCRIBED_KINDS, type DescribedKind, type DescribedPolicy, type Description } from '#protocol/api/describe.ts';
import { type Act, type DataFormat, formatData, makeCommand, outputOption, runDirOption } from './command.ts';
import { readName, readWorkloadName } from './option-values.ts';
import { formatFinding } from './status-page.ts';
import { formatMoment, formatTable } from './text-format.ts';

/** What `weft describe` is told. */
export type DescribeOptions = {
  kind: DescribedKind;
  namespace: string;
  name: string;
  output: 'text' | DataFormat;
  runDir: string;
};

/** Other names of the kinds, as people know them from elsewhere. */
const ALSO: Readonly<Record<string, DescribedKind>> = {
  pod: 'workload',
  svc: 'service',
  authorizationpolicy: 'policy',
  peerauthentication: 'policy',
  gateway: 'waypoint',
};

/** `weft describe`: what applies to one thing of the mesh. */
export function describeCommand(act: Act<DescribeOptions>): Command {
  return makeCommand('describe', 'Look and check:', 'Show what applies to a workload, service, policy or waypoint', [
    { command: 'weft describe workload/web --namespace shop', does: 'see who web is, who may reach it, and by which path' },
    { command: 'weft describe service/web -o yaml', does: 'its workloads, routes and policies, for a program' },
    { command: 'weft describe policy/no-strangers', does: 'what a policy allows, and the workloads it holds for' },
  ])
    .description(
      'Show what applies to one thing of the mesh: identity, services, the policies with what they allow, routes, waypoint, the path that connections from this machine take, certificates, and what is wrong with it. It asks the control plane of this machine.',
    )
    .argument('<kind/name>', `${DESCRIBED_KINDS.join(', ')}, a slash, and the name`, readKindAndName)
    .option('--namespace <name>', 'the namespace that it is in', readWorkloadName, 'default')
    .addOption(outputOption('text'))
    .addOption(runDirOption())
    .action((subject: Pick<DescribeOptions, 'kind' | 'name'>, options: Omit<DescribeOptions, 'kind' | 'name'>) =>
      act({ ...subject, ...options }),
    );
}

function readKindAndName(text: string): Pick<DescribeOptions, 'kind' | 'name'> {
  const [word = '', name = '', ...rest] = text.split('/');
  const kind = DESCRIBED_KINDS.find((one) => one === word.toLowerCase()) ?? ALSO[word.toLowerCase()];
  if (kind === undefined || name === '' || rest.length > 0)
    throw new InvalidArgumentError(`Write one of ${DESCRIBED_KINDS.join(', ')}, a slash and the name, such as service/web.`);
  return { kind, name: readName(name) };
}

/** A description with what the agents and the control plane of this machine know of it. */
export type FullDescription = Omit<Description, 'workloads'> & {
  workloads: (Description['workloads'][number] & { paths: { from: string; path: string }[] })[];
  /** The paths to itself, of a workload. */
  paths: { from: string; path: string }[];
  certificates: (AgentStatus['certificates'][number] & { node: string })[];
  conditions: ConditionStatus[];
  findings: FindingStatus[];
};

/** Puts together what is known of one thing. `uid`: that of a workload, '' of anything else. */
export function completeDescription(
  description: Description,
  agents: readonly Pick<AgentStatus, 'node' | 'workloads' | 'certificates'>[],
  control: Pick<ControlStatus, 'conditions' | 'findings'>,
): FullDescription {
  const { facts } = description;
  const pathsTo = (uid: string): FullDescription['paths'] =>
    agents.flatMap(({ node, workloads }) => workloads.filter((one) => one.uid === uid).map(({ path }) => ({ from: node, path })));
  const isMeant = meantBy(description);
  return {
    ...description,
    workloads: description.workloads
      .map((workload) => ({ ...workload, paths: pathsTo(workload.uid) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)), // in whatever order they came
    paths: pathsTo(facts.uid ?? ''),
    certificates: agents.flatMap(({ node, certificates }) =>
      certificates.filter(({ identity }) => identity === facts.identity).map((certificate) => ({ node, ...certificate })),
    ),
    // In order of name: that in which they came about says nothing, and is another each time.
    conditions: control.conditions.filter(({ resource }) => isMeant(resource)).sort(byCondition),
    findings: control.findings.filter(({ resource }) => isMeant(resource)),
  };
}

function byCondition(a: ConditionStatus, b: ConditionStatus): number {
  return `${a.resource} ${a.type}` < `${b.resource} ${b.type}` ? -1 : 1;
}

/** The kinds of resources that each is described by, as they call themselves. */
const RESOURCES: Readonly<Record<DescribedKind, readonly string[]>> = {
  workload: ['Pod', 'WorkloadEntry'],
  service: ['Service'],
  policy: ['AuthorizationPolicy', 'PeerAuthentication'],
  waypoint: ['Gateway'],
};

/**
 * Whether a resource, told of as `Kind namespace/name`, is what is described, one of its policies, or one of its routes. A name alone
 * says little: a Service, its Gateway and its route are often called alike.
 */
function meantBy({ kind, namespace, name, policies, routes }: Description): (resource: string) => boolean {
  const of = (kinds: readonly string[], named: string): string[] => kinds.map((one) => `${one} ${named}`);
  const meant = new Set([
    ...of(RESOURCES[kind], `${namespace}/${name}`),
    ...policies.map((policy) => policyResource(policy.name)),
    // `namespace/name` of a route is what stands before the first blank or colon.
    ...routes.flatMap((route) => of(['HTTPRoute'], /^[^\s:]+/.exec(route)?.[0] ?? '')),
  ]);
  return (resource) => meant.has(resource);
}

/** What a policy, by its `namespace/name`, was made from. */
function policyResource(key: string): string {
  const [namespace = '', name = ''] = key.split('/');
  const peers = convertedFrom(name);
  return peers === null ? `AuthorizationPolicy ${key}` : `PeerAuthentication ${namespace}/${peers}`;
}

/** What `weft describe` prints. */
export async function formatDescription(
  full: FullDescription,
  output: DescribeOptions['output'],
  nowMs: number,
): Promise<string> {
  if (output !== 'text') return formatData(full, output);
  const facts = Object.entries({ ...full.facts, ...(full.waypoint === null ? {} : { waypoint: full.waypoint }) });
  const width = Math.max(0, ...facts.map(([key]) => key.length)) + 1;
  return [
    `${full.kind} ${full.namespace}/${full.name}\n`,
    facts.map(([key, value]) => `  ${`${key}:`.padEnd(width)} ${value}\n`).join(''),
    section('Paths', full.paths.map(({ from, path }) => `${path} from ${from}\n`).join('')),
    section('Services', linesOf(full.services)),
    section('Workloads', workloadTable(full)),
    section('Policies', full.policies.map(policyText).join('') || nobodyForbids(full)),
    section('Routes', linesOf(full.routes)),
    section('Certificates', certificateLines(full, nowMs)),
    section(
      'Conditions',
      full.conditions.map(({ resource, type, status, reason }) => `${resource}: ${type} ${status} (${reason})\n`).join(''),
    ),
    section('Findings', full.findings.map(formatFinding).join('')),
  ].join('');
}

function section(title: string, body: string): string {
  return body === '' ? '' : `${title}\n${body.replace(/^(?=.)/gm, '  ')}`;
}

function linesOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** Without a policy everything is allowed, which a reader of an empty section might take for the opposite. */
function nobodyForbids({ kind }: Description): string {
  if (kind === 'policy') return '';
  return kind === 'workload' ? 'none: whoever reaches it may connect\n' : 'none of requests\n';
}

function workloadTable({ workloads }: FullDescription): string {
  const rows = workloads.map(({ name, node, identity, addresses, paths }) => [
    ...[name, node, [...new Set(paths.map(({ path }) => path))].join(', ') || 'unknown', identity],
    addresses.join(', '),
  ]);
  return formatTable(['WORKLOAD', 'NODE', 'PATH', 'IDENTITY', 'ADDRESSES'], rows);
}

function policyText({ name, action, at, scope, dryRun, rules }: DescribedPolicy): string {
  const verb = action === 'allow' ? 'allows' : action === 'deny' ? 'denies' : action;
  const tried = dryRun ? ', dry run: told, not enforced' : '';
  const told = rules.length === 0 ? 'nothing' : rules.map((rule) => `${verb} ${rule}`).join('\n  ');
  return `${name} (${action}, for ${scope}, at ${at}${tried})\n  ${rules.length === 0 ? `${verb} ` : ''}${told}\n`;
}

function certificateLines({ certificates }: FullDescription, nowMs: number): string {
  return linesOf(
    certificates.map(({ identity, node, notAfter, error }) => {
      const expiry = notAfter === '' ? 'not yet there' : `expires ${formatMoment(Date.parse(notAfter), nowMs)}`;
      return `${identity} on ${node}: ${expiry}${error === null ? '' : `, failing: ${error}`}`;
    }),
  );
}
