import { tableOf } from '#control-plane/index/table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';

/** A class of Gateways, whoever's it is. */
export type GatewayClassResource = {
  kind: 'GatewayClass';
  metadata: Metadata;
  /** Who looks after its Gateways. */
  controllerName: string;
  hasParameters: boolean;
};

/** Classes by name. */
export const GATEWAY_CLASSES = tableOf<GatewayClassResource>()('gateway-classes');
