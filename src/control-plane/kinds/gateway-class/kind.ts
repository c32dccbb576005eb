import { defineDerivation } from '#control-plane/index/derivation.ts';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { defineKind } from '#control-plane/index/kind-definition.ts';
import { falseCondition, STATUS, statusOf, trueCondition } from '#control-plane/index/outputs.ts';
import { GATEWAY_CLASSES, type GatewayClassResource } from '#control-plane/mesh/gateway-classes.ts';
import { CONTROLLER_NAME, WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import { type OwnStatus, refusedFor } from '#control-plane/resources/cluster-kind.ts';
import type { RawMetadata } from '#control-plane/resources/metadata.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { fieldOf } from '#control-plane/resources/stand-in.ts';

/** The document, once its schema has passed. */
type RawGatewayClass = { metadata: RawMetadata; spec: { controllerName: string; parametersRef?: object } };

/** Classes of other controllers are theirs, whatever is wrong with them. */
const CLASS_STATUS: OwnStatus = {
  form: 'applied',
  types: ['Accepted'],
  leaves: true,
  refused: (spec) => (fieldOf(spec, 'controllerName') === CONTROLLER_NAME ? refusedFor('Unsupported', ['Accepted']) : []),
};

/** What becomes of a class of ours. */
const gatewayClasses = defineDerivation({
  name: 'gateway class',
  each: GATEWAY_CLASSES,
  reads: [],
  writes: STATUS,
  derive: ({ value }) => statusOf(nameOfResource(value), conditionsOf(value), []),
});

/** How a GatewayClass is read: whether it is one of ours, and what it labels its Gateways. */
export const gatewayClassKind = defineKind<RawGatewayClass, GatewayClassResource>({
  kind: 'GatewayClass',
  group: 'gateway.networking.k8s.io',
  versions: ['v1', 'v1beta1'],
  namespaced: false,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_gatewayclasses.yaml' },
  unknownFields: 'error',
  fields: {
    'spec.controllerName': { is: 'enforced' },
    'spec.description': { is: 'elsewhere', why: 'it is for people' },
    'spec.parametersRef': {
      is: 'ignored',
      why: 'what runs a waypoint is the same for all of them',
      remedy: 'remove it; a class of Weft that has it is not accepted',
    },
  },
  isOurs: ({ spec }) => spec.controllerName === CONTROLLER_NAME,
  check: () => [],
  read: ({ spec: { controllerName, parametersRef } }, metadata) => ({
    kind: 'GatewayClass',
    metadata,
    controllerName,
    hasParameters: parametersRef !== undefined,
  }),
  // Which Gateways are waypoints is said by their own class name.
  restricts: false,
  cluster: { status: CLASS_STATUS },
  resources: GATEWAY_CLASSES,
  derivations: [gatewayClasses],
});

function conditionsOf(one: GatewayClassResource): Condition[] {
  const resource = nameOfResource(one);
  if (one.controllerName !== CONTROLLER_NAME) return [];
  // By these names waypoints are told from gateways of others, also where there is no class to ask.
  if (!WAYPOINT_CLASSES.includes(one.metadata.name)) {
    const message = `classes of Weft are called ${WAYPOINT_CLASSES.join(' and ')}: Gateways of another one are not run`;
    return [falseCondition(resource, 'Accepted', 'Unsupported', message)];
  }
  if (one.hasParameters) {
    const message = 'spec.parametersRef is not read: what runs a waypoint is the same for all of them';
    return [falseCondition(resource, 'Accepted', 'InvalidParameters', message)];
  }
  return [trueCondition(resource, 'Accepted', 'Accepted', 'its Gateways are waypoints of Weft')];
}
