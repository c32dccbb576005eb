import type { Condition } from '#control-plane/index/index-delta.ts';
import { falseCondition, trueCondition } from '#control-plane/index/outputs.ts';
import { HBONE_PROTOCOL } from '#control-plane/mesh/well-known.ts';
import { nameOfResource, type ResourceName } from '#control-plane/resources/resource.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { GatewayListener, GatewayResource, RouteKind } from './schema.ts';

const GROUP = 'gateway.networking.k8s.io';
/** What a waypoint runs, in order of name. */
const ROUTE_KINDS: readonly RouteKind[] = ['GRPCRoute', 'HTTPRoute'].map((kind) => ({ group: GROUP, kind }));

/** Why a listener is not what it says, in the words of the Gateway API. */
export type ListenerFault = { reason: 'UnsupportedProtocol' | 'PortUnavailable' | 'UnsupportedValue'; message: string };

/** null: the listener is what it says. A value that has no effect keeps nobody from being served. */
export function faultOf(listeners: readonly GatewayListener[], at: number): ListenerFault | null {
  const listener = listeners[at];
  if (listener === undefined) return null;
  const { protocol, port, unheeded } = listener;
  if (protocol !== HBONE_PROTOCOL)
    return { reason: 'UnsupportedProtocol', message: `a waypoint serves HBONE on port 15008 only, not ${protocol}` };
  if (port !== PORT.hbone)
    return { reason: 'PortUnavailable', message: `a waypoint serves HBONE on port 15008 only, not on ${port}` };
  if (unheeded.length === 0) return null;
  return { reason: 'UnsupportedValue', message: `${unheeded.join(' and ')} of a listener has no effect at a waypoint` };
}

/**
 * All conditions of the listeners of a Gateway of ours. `programmed`: whether the Gateway is; `attachedRoutes`: how many routes the
 * waypoint runs, which all come by its one listener.
 */
export function listenerConditions(gateway: GatewayResource, programmed: Condition, attachedRoutes: number): Condition[] {
  const resource = nameOfResource(gateway);
  return gateway.listeners.flatMap((listener, at) => {
    const fault = faultOf(gateway.listeners, at);
    const isServed = fault === null || fault.reason === 'UnsupportedValue';
    // Addresses are those of the Gateway: listeners have none.
    const { fields: _, ...served } = programmed;
    const accepted =
      fault === null
        ? trueCondition(resource, 'Accepted', 'Accepted', 'served')
        : falseCondition(resource, 'Accepted', fault.reason, fault.message);
    const kinds = supportedKinds(listener, isServed);
    // All four, whether they hold or not: the Gateway API tells "not yet looked at" by one that is missing.
    const conditions: Condition[] = [
      { ...accepted, fields: { supportedKinds: kinds, attachedRoutes: isServed ? attachedRoutes : 0 } },
      isServed ? served : falseCondition(resource, 'Programmed', 'Invalid', 'nobody is served there'),
      conflictOf(resource, gateway.listeners, at),
      resolvedOf(resource, listener, kinds),
    ];
    return conditions.map((one) => ({ ...one, listener: listener.name }));
  });
}

/** Those that are asked for, and the waypoint runs. */
function supportedKinds({ kinds }: GatewayListener, isServed: boolean): RouteKind[] {
  if (!isServed) return [];
  return ROUTE_KINDS.filter((own) => kinds.length === 0 || kinds.some((asked) => isSameKind(asked, own)));
}

function isSameKind(one: RouteKind, other: RouteKind): boolean {
  return one.group === other.group && one.kind === other.kind;
}

/** Of two protocols at one port that of the waypoint is served. */
function conflictOf(resource: ResourceName, listeners: readonly GatewayListener[], at: number): Condition {
  const { port, protocol } = listeners[at] ?? {};
  const other = listeners.find((one) => one.port === port && one.protocol !== protocol);
  if (other === undefined || protocol === HBONE_PROTOCOL)
    return falseCondition(resource, 'Conflicted', 'NoConflicts', 'no other listener is in its way');
  return trueCondition(resource, 'Conflicted', 'ProtocolConflict', `listener ${other.name} has port ${port}, too`);
}

function resolvedOf(resource: ResourceName, { kinds }: GatewayListener, supported: readonly RouteKind[]): Condition {
  // What is not supported must not be passed over in silence, says the API: its author would wait for such routes.
  const unknown = kinds.filter((asked) => !supported.some((own) => isSameKind(asked, own))).map(({ kind }) => kind);
  if (unknown.length === 0)
    return trueCondition(resource, 'ResolvedRefs', 'ResolvedRefs', 'it refers to nothing that is not there');
  return falseCondition(resource, 'ResolvedRefs', 'InvalidRouteKinds', `a waypoint does not run ${unknown.join(', ')}`);
}
