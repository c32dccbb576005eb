import fc from 'fast-check';
import { anySelector, documents } from '#control-plane/mesh/small-world.testing.ts';

const mode = fc.constantFrom('UNSET', 'PERMISSIVE', 'STRICT', 'DISABLE');

/** Policies of namespaces and of workloads, with ports that agree and ports that do not. */
export const samples: fc.Arbitrary<object> = documents(
  'security.istio.io/v1',
  'PeerAuthentication',
  fc.constant({}),
  fc.oneof(
    mode.map((own) => ({ spec: { mtls: { mode: own } } })),
    fc.tuple(anySelector, mode, mode).map(([matchLabels, own, port]) => ({
      spec: { selector: { matchLabels }, mtls: { mode: own }, portLevelMtls: { 80: { mode: port } } },
    })),
  ),
);
