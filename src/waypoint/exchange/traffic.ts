import type { Traffic } from '#model/waypoint/traffic.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import type { BoundService } from '#waypoint/state/snapshot.ts';

/** Blocks are never merged: each is looked for by itself. */
type Block = keyof Traffic;

/** What a TrafficPolicy says of a request: that of its rule goes before that of the port, and that before the service's. */
export function trafficOf<B extends Block>({ bound, route, connection }: Exchange, block: B): Traffic[B] | null {
  const ofRule = route?.traffic?.[block] ?? null;
  if (ofRule !== null) return ofRule;
  const said = bound?.config.traffic;
  if (said === undefined) return null;
  const { port } = connection.destination;
  const ofPort = said.find((one) => one.port === port && one[block] !== null);
  return (ofPort ?? said.find((one) => one.port === null && one[block] !== null))?.[block] ?? null;
}

/** Everything that is said of a service in one block, compiled: by what it was compiled from. */
export function compileEach<B extends Block, C>(
  { config }: BoundService,
  block: B,
  compile: (said: NonNullable<Traffic[B]>) => C,
): ReadonlyMap<NonNullable<Traffic[B]>, C> {
  const ofRules = config.routes.flatMap(({ rules }) => rules.map(({ traffic }) => traffic?.[block] ?? null));
  const ofService = (config.traffic ?? []).map((one) => one[block]);
  const all = [...ofRules, ...ofService].filter((said) => said !== null);
  return new Map(all.map((said) => [said, compile(said)] as const));
}
