import type { IndexSnapshot } from '#control-plane/index/mesh-index.ts';
import { requestRuleText, ruleText } from '#control-plane/status/rule-text.ts';
import { WeftError } from '#model/error.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import { type Authorization, convertedName } from '#model/mesh/authorization.ts';
import { gatewayName, type Service, serviceKeyOf } from '#model/mesh/service.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { holdsFor } from '#model/policy/l4.ts';
import type { HttpRoute, HttpRouteMatch, L7Policy, WaypointConfig } from '#model/waypoint/config.ts';
import type { DescribedKind, DescribedPolicy, Description } from '#protocol/api/describe.ts';

/** What is asked for. */
export type Subject = { kind: DescribedKind; namespace: string; name: string };

/** What of the mesh a description is made from. */
export type DescribedMesh = Pick<IndexSnapshot, 'workloads' | 'services' | 'policies' | 'waypoints'>;

const EMPTY = { facts: {}, services: [], workloads: [], policies: [], routes: [], waypoint: null } as const;

/** What applies to one thing of the mesh. Errors: WEFT_NOTHING_SO_NAMED. */
export function describe(mesh: DescribedMesh, subject: Subject): Description {
  const description = describers[subject.kind](mesh, subject);
  if (description !== null) return { ...subject, ...description };
  const { kind, namespace, name } = subject;
  throw new WeftError('WEFT_NOTHING_SO_NAMED', `there is no ${kind} ${namespace}/${name} in the mesh`, {
    remedy: 'see weft status; name another namespace with --namespace, and another kind before the slash',
  });
}

type Body = Omit<Description, keyof Subject>;

const describers: Readonly<Record<DescribedKind, (mesh: DescribedMesh, subject: Subject) => Body | null>> = {
  workload(mesh, subject) {
    const found = named([...mesh.workloads.values()], subject);
    if (found === null) return null;
    const services = [...found.services.keys()].flatMap((key) => mesh.services.get(key) ?? []);
    const bound = found.waypoint !== null ? found : services.find((service) => service.waypoint !== null);
    return {
      ...EMPTY,
      facts: {
        identity: formatIdentity(identityOf(found)),
        addresses: found.addresses.join(', '),
        node: found.node,
        uid: found.uid,
        health: found.healthy ? 'healthy' : 'unhealthy',
        encryption: found.nativeTunnel ? 'by itself' : found.tunnelProtocol === 'hbone' ? 'by its node' : 'none',
      },
      services: services.map(serviceText).sort(),
      policies: [...policiesOf(mesh, found), ...services.flatMap((service) => requestPolicies(mesh, service))],
      routes: services.flatMap((service) => routesOf(mesh, service)),
      waypoint: bound === undefined ? null : waypointText(bound),
    };
  },
  service(mesh, subject) {
    const found = named([...mesh.services.values()], subject);
    if (found === null) return null;
    const key = serviceKeyOf(found);
    return {
      ...EMPTY,
      facts: {
        hostname: found.hostname,
        addresses: found.addresses.join(', ') || 'none: names lead to its workloads',
        ports: portsText(found),
      },
      workloads: [...mesh.workloads.values()].filter(({ services }) => services.has(key)).map(member),
      policies: requestPolicies(mesh, found),
      routes: routesOf(mesh, found),
      waypoint: waypointText(found),
    };
  },
  policy(mesh, { namespace, name }) {
    const found = mesh.policies.get(`${namespace}/${name}`) ?? mesh.policies.get(`${namespace}/${convertedName(name)}`);
    const requests = requestPoliciesNamed(mesh, namespace, name);
    if (found === undefined && requests.length === 0) return null;
    const held = found === undefined ? [] : [...mesh.workloads.values()].filter((workload) => holdsFor(found, workload));
    return {
      ...EMPTY,
      workloads: held.map(member),
      policies: [...(found === undefined ? [] : [policyText(found)]), ...requests],
    };
  },
  waypoint(mesh, { namespace, name }) {
    const found = mesh.waypoints.get(`${namespace}/${name}`);
    if (found === undefined) return null;
    return {
      ...EMPTY,
      facts: { 'path normalization': found.pathNormalization },
      services: found.services
        .flatMap(({ key }) => mesh.services.get(key) ?? [])
        .map(serviceText)
        .sort(),
      policies: [...found.policies, ...found.services.flatMap(({ policies }) => policies)].map(requestPolicyText),
      routes: found.services.flatMap(({ routes }) => routes.flatMap(routeTexts)),
    };
  },
};

/** The one of that name, where several clusters or nodes tell of it. */
function named<Item extends { namespace: string; name: string }>(
  items: readonly Item[],
  { namespace, name }: Subject,
): Item | null {
  return items.find((item) => item.namespace === namespace && item.name === name) ?? null;
}

function member(workload: Workload): Description['workloads'][number] {
  const { uid, namespace, name, node, addresses } = workload;
  return { uid, name: `${namespace}/${name}`, identity: formatIdentity(identityOf(workload)), node, addresses: [...addresses] };
}

function policiesOf(mesh: DescribedMesh, workload: Workload): DescribedPolicy[] {
  return [...mesh.policies.values()].filter((policy) => holdsFor(policy, workload)).map(policyText);
}

const SCOPES = { global: 'the whole mesh', namespace: 'its namespace', 'workload-selector': 'what it selects' } as const;

function policyText({ namespace, name, action, scope, dryRun, rules }: Authorization): DescribedPolicy {
  const at = 'every node' as const;
  return { name: `${namespace}/${name}`, action, at, scope: SCOPES[scope], dryRun, rules: rules.map(ruleText) };
}

function requestPolicyText({ namespace, name, action: does, authorizer, dryRun, rules }: L7Policy): DescribedPolicy {
  const at = 'the waypoint' as const;
  const action = does === 'custom' ? (`asks ${authorizer ?? 'nobody'}` as const) : does;
  return { name: `${namespace}/${name}`, action, at, scope: 'what it targets', dryRun, rules: rules.map(requestRuleText) };
}

/** What a waypoint enforces for a service, its own policies first. */
function requestPolicies(mesh: DescribedMesh, service: Service): DescribedPolicy[] {
  return bindingsOf(mesh, service).flatMap(({ config, bound }) => [...config.policies, ...bound.policies].map(requestPolicyText));
}

function requestPoliciesNamed(mesh: DescribedMesh, namespace: string, name: string): DescribedPolicy[] {
  const all = [...mesh.waypoints.values()].flatMap(({ policies, services }) => [
    ...policies,
    ...services.flatMap((service) => service.policies),
  ]);
  // One that targets several services is enforced for each, and told once.
  return all
    .filter((policy) => policy.namespace === namespace && policy.name === name)
    .slice(0, 1)
    .map(requestPolicyText);
}

function bindingsOf(
  mesh: DescribedMesh,
  service: Service,
): { config: WaypointConfig; bound: WaypointConfig['services'][number] }[] {
  const key = serviceKeyOf(service);
  return [...mesh.waypoints.values()].flatMap((config) =>
    config.services.filter((bound) => bound.key === key).map((bound) => ({ config, bound })),
  );
}

function routesOf(mesh: DescribedMesh, service: Service): string[] {
  return bindingsOf(mesh, service).flatMap(({ bound }) => bound.routes.flatMap(routeTexts));
}

function routeTexts({ namespace, name, clientNamespace, ports, rules }: HttpRoute): string[] {
  const only = [
    ...(clientNamespace === null ? [] : [` for clients of ${clientNamespace}`]),
    ...(ports === null ? [] : [` on port ${ports.join(' or ')}`]),
  ].join('');
  return rules.map(({ matches, backends }) => {
    const when = matches.map(routeMatchText).join('; or ') || 'every request';
    const to = backends.map(({ service, port, weight }) => `${service ?? 'nowhere (500)'}:${port} weight ${weight}`);
    return `${namespace}/${name}${only}: ${when} → ${to.join(', ') || 'nowhere (500)'}`;
  });
}

function routeMatchText({ path, method, headers, queryParams }: HttpRouteMatch): string {
  const parts = [
    ...(method === null ? [] : [method]),
    ...(path === null ? [] : [`${path.type} ${path.value}`]),
    ...headers.map(({ name, value }) => `${name}: ${value}`),
    ...queryParams.map(({ name, value }) => `?${name}=${value}`),
  ];
  return parts.join(' ') || 'every request';
}

function serviceText(service: Service): string {
  return `${serviceKeyOf(service)} ${portsText(service)}`;
}

function portsText({ ports }: Service): string {
  return ports.map(({ servicePort, targetPort }) => `${servicePort}→${targetPort === 0 ? 'by name' : targetPort}`).join(', ');
}

/** With a canary both, and how many of a hundred new connections each gets. */
function waypointText({ waypoint, canary }: Pick<Service, 'waypoint' | 'canary'>): string | null {
  if (waypoint === null) return null;
  if (canary === undefined) return gatewayName(waypoint);
  return `${gatewayName(waypoint)} (${100 - canary.weight} %), ${gatewayName(canary.waypoint)} (${canary.weight} %)`;
}
