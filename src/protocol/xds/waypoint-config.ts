import { create } from '@bufbuild/protobuf';
import { PATH_NORMALIZATIONS, type WaypointConfig } from '#model/waypoint/config.ts';
import { type WaypointConfig as WaypointConfigMessage, WaypointConfigSchema } from '#proto/weft_pb.js';
import { rejectResource } from '#protocol/xds/resource-fault.ts';

/** `<namespace>/<gateway>`, the resource name. */
export function waypointConfigName(config: { namespace: string; gateway: string }): string {
  return `${config.namespace}/${config.gateway}`;
}

/** The wire form; object keys are sorted, so equal configurations have equal bytes whoever built them. */
export function waypointConfigToProto(config: WaypointConfig): WaypointConfigMessage {
  const { namespace, gateway } = config;
  return create(WaypointConfigSchema, { namespace, gateway, configJson: Buffer.from(JSON.stringify(config, sortedKeys)) });
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Errors: WEFT_XDS_RESOURCE when the payload is not the JSON form of a WaypointConfig of that name.
 * The interior is trusted: control plane and waypoint are of one version or the control plane is the newer one.
 */
export function waypointConfigFromProto(message: WaypointConfigMessage): WaypointConfig {
  const parsed: unknown = JSON.parse(Buffer.from(message.configJson).toString('utf8'));
  if (!isWaypointConfig(parsed)) rejectResource('the payload is not a waypoint configuration');
  if (parsed.namespace !== message.namespace || parsed.gateway !== message.gateway) {
    rejectResource(`the payload configures ${waypointConfigName(parsed)}`);
  }
  return parsed;
}

function isWaypointConfig(value: unknown): value is WaypointConfig {
  if (typeof value !== 'object' || value === null) return false;
  const config: Partial<Record<keyof WaypointConfig, unknown>> = value;
  return (
    typeof config.namespace === 'string' &&
    typeof config.gateway === 'string' &&
    typeof config.trustDomain === 'string' &&
    // A level that we do not know would leave paths in another form than the policies were written for.
    PATH_NORMALIZATIONS.some((level) => level === config.pathNormalization) &&
    Array.isArray(config.services) &&
    Array.isArray(config.policies)
  );
}
