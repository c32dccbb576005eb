import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import { STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { DESTINATION_RULES, type DestinationRuleResource, rulesAbout } from '#control-plane/mesh/destination-rules.ts';
import { HOST_TABLES, type NamedHost, namedHost } from '#control-plane/mesh/named-hosts.ts';
import { SERVICE_BINDINGS } from '#control-plane/mesh/services.ts';
import { membersOf, pickOf, SUBSET_TABLES } from '#control-plane/mesh/subsets.ts';
import { ATTACHED_TRAFFIC, settingsSpeaker } from '#control-plane/mesh/traffic-policies.ts';
import { isWaypoint } from '#control-plane/mesh/waypoint-binding.ts';
import { WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';

const READS = [DESTINATION_RULES, ATTACHED_TRAFFIC, ...HOST_TABLES, ...SUBSET_TABLES, SERVICE_BINDINGS, WAYPOINTS] as const;
type StatusMesh = MeshReader<(typeof READS)[number]>;

/** What is to be said of each rule; what it says is looked up by those who route to its host. */
export const destinationRuleStatus = defineDerivation({
  name: 'destination rule status',
  each: DESTINATION_RULES,
  reads: [...READS],
  writes: [...STATUS],
  derive: ({ value: rule }, mesh) => statusOf(nameOfResource(rule), [], problemsOf(rule, mesh)),
});

const HOST_PATH = ['spec', 'host'];

/** A rule that helps nobody says why: its host, who may see it, and subsets without endpoints. */
function problemsOf(rule: DestinationRuleResource, mesh: StatusMesh): Problem[] {
  const { host: written, metadata, subsets, forSomeWorkloads } = rule;
  // Told as a field already; and of what stands for many hosts there is no single thing to say.
  if (forSomeWorkloads || written.startsWith('*')) return [];
  const host = namedHost(written, metadata.namespace, mesh);
  if (host === null) {
    const message = `host ${written} is no service of the mesh`;
    const remedy = 'write the name of a Service, or create a ServiceEntry';
    return [warningAt('WEFT_REFERENCE_UNRESOLVED', HOST_PATH, message, remedy)];
  }
  const unused = whyUnused(rule, host, mesh);
  if (unused !== null) return [unused];
  return [
    ...hidden(rule, host, mesh),
    ...subsets.flatMap(({ name, labels }, at): Problem[] => {
      if (membersOf(pickOf(host, name, labels), mesh).endpoints.length > 0) return [];
      const words = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
      const message = `no endpoint of ${host.owner} has the labels of subset ${name} (${words.join(', ') || 'none'}): its requests are answered 503`;
      return [warningAt('WEFT_MATCHES_NOTHING', ['spec', 'subsets', at, 'labels'], message, 'correct the labels')];
    }),
  ];
}

/** By which field of a rule the block of a TrafficPolicy is said. */
const FIELD_OF = { circuitBreaker: 'connectionPool', outlierDetection: 'outlierDetection', retryBudget: 'retryBudget' } as const;

/** What a TrafficPolicy says of the same service goes before (config-api 6.3). */
function hidden({ policy }: DestinationRuleResource, { owner }: NamedHost, mesh: StatusMesh): Problem[] {
  return (['circuitBreaker', 'outlierDetection', 'retryBudget'] as const).flatMap((block): Problem[] => {
    const speaker = policy?.settings[block] === undefined ? null : settingsSpeaker(mesh, owner, null, block);
    if (speaker === null) return [];
    const message = `${speaker.kind} ${speaker.metadata.namespace}/${speaker.metadata.name} says ${block} of ${owner}, and goes before it`;
    return [warningAt('WEFT_NOT_ENFORCED', ['spec', 'trafficPolicy', FIELD_OF[block]], message, 'remove it from one of the two')];
  });
}

/** At a waypoint, its namespace and the service's are asked, and no client's (config-api 4.3): nobody would find that out. */
function whyUnused(rule: DestinationRuleResource, host: NamedHost, mesh: StatusMesh): Problem | null {
  const { namespace, name } = rule.metadata;
  const gateway = mesh.get(SERVICE_BINDINGS, host.id)?.gateway ?? null;
  if (gateway === null || !isWaypoint(mesh, gateway)) {
    // Waypoints of other services may lead to this one, from the service's own namespace on.
    if (namespace === host.namespace || namespace === mesh.options.rootNamespace) return null;
    const message = `${host.owner} has no waypoint, and rules of namespace ${namespace} are asked by its own waypoints only`;
    return warningAt('WEFT_NOT_ENFORCED', HOST_PATH, message, `move it to namespace ${host.namespace}`);
  }
  const waypointNamespace = gateway.slice(0, gateway.indexOf('/'));
  const heard = rulesAbout(host, waypointNamespace, mesh);
  const [first] = heard;
  if (heard.some(({ metadata }) => metadata.namespace === namespace && metadata.name === name)) return repeated(rule, heard);
  const other = first === undefined ? '' : `: ${nameOfResource(first)} is`;
  const message = `it is not what the waypoint ${gateway} of ${host.owner} asks${other}`;
  const remedy = `write it in namespace ${host.namespace}, for exactly this host, exported to ${waypointNamespace}`;
  return warningAt('WEFT_NOT_ENFORCED', HOST_PATH, message, remedy);
}

/** Of equal names in several rules of one host the oldest rule's counts. */
function repeated(rule: DestinationRuleResource, heard: readonly DestinationRuleResource[]): Problem | null {
  const older = heard.slice(
    0,
    heard.findIndex(({ metadata }) => metadata.name === rule.metadata.name),
  );
  for (const [at, { name }] of rule.subsets.entries()) {
    const before = older.find(({ subsets }) => subsets.some((one) => one.name === name));
    if (before === undefined) continue;
    const message = `${nameOfResource(before)} is older and says what subset ${name} is`;
    return warningAt('WEFT_NOT_ENFORCED', ['spec', 'subsets', at, 'name'], message, 'give it another name');
  }
  return null;
}
