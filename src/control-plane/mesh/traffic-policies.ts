import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { byAge, type Metadata } from '#control-plane/resources/metadata.ts';
import type { HttpRoute, WaypointService } from '#model/waypoint/config.ts';
import type { DestinationSettings } from '#model/waypoint/destination-settings.ts';
import type { RateLimit, Traffic } from '#model/waypoint/traffic.ts';

/** What a policy says of one target, or of a part of it that `section` names. */
export type AttachedTraffic = Traffic & {
  kind: 'TrafficPolicy' | 'XBackendTrafficPolicy';
  /** `Service shop/reviews`, `HTTPRoute shop/r`. */
  target: string;
  section: string | null;
  /** Of services only. */
  settings: DestinationSettings;
  metadata: Pick<Metadata, 'createdAtMs' | 'namespace' | 'name'>;
};

/** What these policies say, by policy and target; found by the target. */
export const ATTACHED_TRAFFIC = tableOf<AttachedTraffic>()('attached-traffic', { by: { target: ({ target }) => [target] } });

type TrafficMesh = MeshReader<typeof ATTACHED_TRAFFIC>;

/** A block of a policy. */
export type TrafficBlock = keyof Traffic;

/** Who speaks in one block of a target or section: the oldest; null: nobody. Blocks are never merged (config-api 6.3). */
export function speakerOf(
  mesh: TrafficMesh,
  target: string,
  section: string | null,
  block: TrafficBlock,
): AttachedTraffic | null {
  const said = mesh.valuesBy(ATTACHED_TRAFFIC, 'target', target).filter((one) => one.section === section && one[block] !== null);
  return said.toSorted(byAge)[0] ?? null;
}

/** The same for how a service is treated; a TrafficPolicy goes before what the Gateway API says (config-api 6.3). */
export function settingsSpeaker(
  mesh: TrafficMesh,
  target: string,
  section: string | null,
  block: keyof DestinationSettings,
): AttachedTraffic | null {
  const attached = mesh.valuesBy(ATTACHED_TRAFFIC, 'target', target);
  const said = attached.filter((one) => one.section === section && one.settings[block] !== undefined).toSorted(byAge);
  return said.find(({ kind }) => kind === 'TrafficPolicy') ?? said[0] ?? null;
}

/** Null where nobody says anything, so that waypoints are told nothing. */
function trafficOf(mesh: TrafficMesh, target: string, section: string | null): Traffic | null {
  const rateLimit = speakerOf(mesh, target, section, 'rateLimit')?.rateLimit ?? null;
  const fault = speakerOf(mesh, target, section, 'fault')?.fault ?? null;
  return rateLimit === null && fault === null ? null : { rateLimit, fault };
}

/** What is said of a service and of its ports; null: nothing. */
export function trafficOfService(
  mesh: TrafficMesh,
  target: string,
  ports: readonly { name: string; port: number }[],
): WaypointService['traffic'] | null {
  const whole = trafficOf(mesh, target, null);
  const ofPorts = ports.flatMap(({ name, port }) => {
    const said = name === '' ? null : trafficOf(mesh, target, name);
    return said === null ? [] : [{ ...said, port }];
  });
  const all = [...(whole === null ? [] : [{ ...whole, port: null }]), ...ofPorts];
  return all.length === 0 ? null : all;
}

/** What is said of a waypoint: it holds beside what is said of services and routes (config-api 6.3). Null: nothing. */
export function limitOfGateway(mesh: TrafficMesh, gateway: string): RateLimit | null {
  return speakerOf(mesh, `Gateway ${gateway}`, null, 'rateLimit')?.rateLimit ?? null;
}

/** A route with what is said of it and of its rules, block by block: that of a rule goes before that of the route. */
export function withTraffic(mesh: TrafficMesh, kind: 'HTTPRoute' | 'GRPCRoute', route: HttpRoute): HttpRoute {
  const target = `${kind} ${route.namespace}/${route.name}`;
  if (mesh.valuesBy(ATTACHED_TRAFFIC, 'target', target).length === 0) return route;
  const whole = trafficOf(mesh, target, null);
  const rules = route.rules.map((rule) => {
    const own = rule.name === '' ? null : trafficOf(mesh, target, rule.name);
    if (whole === null && own === null) return rule;
    const traffic = { rateLimit: own?.rateLimit ?? whole?.rateLimit ?? null, fault: own?.fault ?? whole?.fault ?? null };
    return { ...rule, traffic };
  });
  return { ...route, rules };
}
