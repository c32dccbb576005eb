import type { MeshReader } from '#control-plane/index/derivation.ts';
import { ATTACHED_TLS, tlsSpeaker } from '#control-plane/mesh/backend-tls.ts';
import { DESTINATION_RULES, type RulePolicy, type RuleSettings, rulesAbout } from '#control-plane/mesh/destination-rules.ts';
import { HOST_TABLES, type NamedHost, namedHost } from '#control-plane/mesh/named-hosts.ts';
import { tlsTo } from '#control-plane/mesh/rule-tls.ts';
import { ENTRY_HOSTS } from '#control-plane/mesh/service-entry-hosts.ts';
import { SERVICES } from '#control-plane/mesh/services.ts';
import { ATTACHED_TRAFFIC, settingsSpeaker } from '#control-plane/mesh/traffic-policies.ts';
import { compareText } from '#control-plane/resources/metadata.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { type DestinationSettings, HASH_RING_SIZE, type ServiceDestination } from '#model/waypoint/destination-settings.ts';

/** Tables that settings are looked up in. */
export const SETTINGS_TABLES = [...HOST_TABLES, DESTINATION_RULES, ATTACHED_TRAFFIC, ATTACHED_TLS] as const;

type SettingsMesh = MeshReader<(typeof SETTINGS_TABLES)[number]>;

/** Blocks of both APIs, as they are looked for: never merged inside (config-api 6.3). */
const SETTING_BLOCKS = ['circuitBreaker', 'connection', 'outlierDetection', 'retryBudget', 'session'] as const;

/**
 * How a waypoint of a namespace treats what it sends to a service and to those that its routes lead to, which may be bound elsewhere: who
 * sends there is this waypoint all the same. In order of their keys.
 */
export function destinationsOf(keys: readonly ServiceKey[], waypointNamespace: string, mesh: SettingsMesh): ServiceDestination[] {
  return [...new Set(keys)].sort(compareText).flatMap((key) => settingsOf(key, waypointNamespace, mesh));
}

/** Nothing for what is no host of the mesh: its requests go nowhere anyway. */
function settingsOf(key: ServiceKey, waypointNamespace: string, mesh: SettingsMesh): ServiceDestination[] {
  const at = key.indexOf('/');
  const host = namedHost(key.slice(at + 1), key.slice(0, at), mesh);
  if (host === null || host.key !== key) return [];
  const all = written(host, waypointNamespace, mesh);
  // Rules that only name subsets say nothing here.
  return all.some(({ port: _, subset: __, service: ___, ...settings }) => Object.keys(settings).length > 0) ? all : [];
}

/** Each port and each subset of which something of its own is said, complete: nothing is put together later. */
function written(host: NamedHost, waypointNamespace: string, mesh: SettingsMesh): ServiceDestination[] {
  const rules = rulesAbout(host, waypointNamespace, mesh);
  // Of rules about one host the oldest one that says something is heard.
  const policy = rules.find((rule) => rule.policy !== null)?.policy ?? null;
  const subsets = new Map<string, RulePolicy>();
  for (const { subsets: named } of rules)
    for (const { name, policy: ofSubset } of named) if (ofSubset !== null && !subsets.has(name)) subsets.set(name, ofSubset);
  const names = portNames(host, mesh);
  // A port that only a subset speaks of has settings of its own for the whole destination as well: the same as every other.
  const portsSaid = [policy, ...subsets.values()].flatMap((one) => one?.ports.map(({ port }) => port) ?? []);
  // Policies name ports, waypoints number them.
  const portsNamed = [...names].filter(([, name]) => Object.keys(policiesOf(host, name, mesh)).length > 0).map(([port]) => port);
  const ports = [null, ...[...new Set([...portsSaid, ...portsNamed])].sort((a, b) => a - b)];
  // In a fixed order, so that a configuration does not change with the order in which rules came.
  return [null, ...[...subsets.keys()].sort(compareText)].flatMap((subset) =>
    ports.map((port) => {
      const { tls: asked, ...levels } = levelled(policy, subset === null ? null : (subsets.get(subset) ?? null), port);
      const tls = tlsTo(host.hostname, mesh.get(ENTRY_HOSTS, host.id)?.subjectAltNames ?? [], asked);
      const ofRules = { ...affinityOf(host, mesh), ...levels, ...(tls && { tls }) };
      // Of a whole service first: what is said of its port goes before that.
      const ofPolicies = {
        ...policiesOf(host, null, mesh),
        ...(port === null ? {} : policiesOf(host, names.get(port) ?? null, mesh)),
      };
      return { service: host.key, port, subset, ...withLocality(ofRules, { ...ofRules, ...ofPolicies }) };
    }),
  );
}

/**
 * What is in force of how endpoints are preferred. Without detection nobody is known to fail, and Istio then prefers nobody but by shares
 * (W52); a rule with detection prefers those that are near unless it says otherwise.
 */
function withLocality(ofRules: DestinationSettings, { locality: written, ...all }: DestinationSettings): DestinationSettings {
  const locality = written ?? (ofRules.outlierDetection === undefined ? { kind: 'off' as const } : { kind: 'nearest' as const });
  // Whose detection it is does not matter for what was asked for by name.
  const isIdle = locality.kind !== 'distribute' && all.outlierDetection === undefined;
  return locality.kind === 'off' || isIdle ? all : { ...all, locality };
}

/** A subset's blocks go before the destination's; those of a port hide all of the level above but its retry budget. */
function levelled(policy: RulePolicy | null, subset: RulePolicy | null, port: number | null): RuleSettings {
  return ofLevel(ofLevel({}, policy, port), subset, port);
}

/** What one level makes of the level above it. */
function ofLevel(above: RuleSettings, policy: RulePolicy | null, port: number | null): RuleSettings {
  if (policy === null) return above;
  const whole = { ...above, ...policy.settings };
  const ofPort = policy.ports.find((one) => one.port === port);
  if (ofPort === undefined) return whole;
  return { ...(whole.retryBudget && { retryBudget: whole.retryBudget }), ...ofPort.settings };
}

/** By number; those without a name cannot be meant. */
function portNames({ id }: NamedHost, mesh: SettingsMesh): ReadonlyMap<number, string> {
  const ports = (mesh.get(SERVICES, id) ?? mesh.get(ENTRY_HOSTS, id))?.ports ?? [];
  return new Map(ports.filter(({ name }) => name !== '').map(({ port, name }) => [port, name]));
}

/** What the Service itself says, which any rule about how endpoints are chosen goes before: its clients are kept together by their addresses. */
function affinityOf({ id }: NamedHost, mesh: SettingsMesh): Pick<DestinationSettings, 'balancer'> {
  const keepsClients = (mesh.get(SERVICES, id)?.affinityTimeoutS ?? 0) > 0;
  return keepsClients
    ? { balancer: { kind: 'hash', key: { kind: 'address' }, table: { kind: 'ring', size: HASH_RING_SIZE } } }
    : {};
}

/** What policies say of a service, or of one of its ports. */
function policiesOf(host: NamedHost, section: string | null, mesh: SettingsMesh): DestinationSettings {
  const tls = tlsSpeaker(mesh, host.owner, section)?.tls;
  return { ...trafficOf(host, section, mesh), ...(tls && { tls }) };
}

/** What TrafficPolicies say of a service, or of one of its ports. */
function trafficOf({ owner }: NamedHost, section: string | null, mesh: SettingsMesh): DestinationSettings {
  const said: { -readonly [B in keyof DestinationSettings]: DestinationSettings[B] } = {};
  for (const block of SETTING_BLOCKS) {
    const settings = settingsSpeaker(mesh, owner, section, block)?.settings;
    // One block alone: the rest of the policy may be hidden by another one.
    if (settings !== undefined) Object.assign(said, { [block]: settings[block] });
  }
  return said;
}
