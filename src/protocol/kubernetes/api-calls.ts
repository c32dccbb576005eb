import type { ApiCall, CalledService, PeerRule } from '#model/check/api-calls.ts';
import type { KubeObject } from './objects.ts';

type Reference = { namespace?: string; name?: string; port?: number };
type RawHooks = { webhooks?: { name?: string; clientConfig?: { service?: Reference } }[] };
type RawApi = { spec?: { service?: Reference } };
type RawDefinition = { spec?: { conversion?: { webhook?: { clientConfig?: { service?: Reference } } } } };
type RawService = { spec?: { selector?: Record<string, string>; ports?: RawPort[] } };
type RawPort = { port?: number; protocol?: string; targetPort?: number | string };
type RawPeers = {
  spec?: {
    selector?: { matchLabels?: Record<string, string> };
    mtls?: { mode?: PeerRule['mode'] };
    portLevelMtls?: Record<string, { mode?: PeerRule['mode'] }>;
  };
};

/** Fixed by Kubernetes: the port of a reference that names none. */
const USUAL_PORT = 443;

/** Services that an object makes the API server call: of webhooks, of an API of others, of a definition whose versions are converted. */
export function apiCallsOf(object: KubeObject): ApiCall[] {
  const { kind, metadata } = object;
  const call = (who: string, service: Reference | undefined): ApiCall[] => {
    if (service?.name === undefined || service.namespace === undefined) return [];
    return [{ who, namespace: service.namespace, service: service.name, port: service.port ?? USUAL_PORT }];
  };
  if (kind === 'APIService') return call(`the API ${metadata.name}`, (object as RawApi).spec?.service);
  if (kind === 'CustomResourceDefinition') {
    const { conversion } = (object as RawDefinition).spec ?? {};
    return call(`the conversion of ${metadata.name}`, conversion?.webhook?.clientConfig?.service);
  }
  const hooks = (object as RawHooks).webhooks ?? [];
  return hooks.flatMap(({ name = metadata.name, clientConfig }) => call(`the webhook ${name}`, clientConfig?.service));
}

/** A Service as those who call it see it. */
export function calledServiceOf(object: KubeObject): CalledService {
  const { selector = {}, ports = [] } = (object as RawService).spec ?? {};
  const ofTcp = ports.filter(({ protocol = 'TCP' }) => protocol === 'TCP');
  const targets = ofTcp.flatMap(({ port, targetPort }): [number, number | string][] =>
    port === undefined ? [] : [[port, targetPort ?? port]],
  );
  return { namespace: object.metadata.namespace ?? '', name: object.metadata.name, selector, targets: new Map(targets) };
}

/** What a PeerAuthentication asks of peers. */
export function peerRuleOf(object: KubeObject): PeerRule {
  const { selector, mtls, portLevelMtls = {} } = (object as RawPeers).spec ?? {};
  const { name, namespace = '', creationTimestamp } = object.metadata;
  const labels = selector?.matchLabels ?? {};
  return {
    ...{ name, namespace, createdAtMs: Date.parse(String(creationTimestamp)) || 0 },
    selects: Object.keys(labels).length === 0 ? null : labels,
    mode: mtls?.mode ?? 'UNSET',
    ports: Object.fromEntries(Object.entries(portLevelMtls).map(([port, { mode = 'UNSET' }]) => [port, mode])),
  };
}
