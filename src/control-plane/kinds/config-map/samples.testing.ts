import fc from 'fast-check';
import { anyName, anyNamespace } from '#control-plane/mesh/small-world.testing.ts';

/** Mesh configurations that have a provider, or not, and ConfigMaps that are none. */
export const samples: fc.Arbitrary<object> = fc
  .record({ service: anyName, namespace: anyNamespace, isRoot: fc.boolean(), failOpen: fc.boolean(), isThere: fc.boolean() })
  .map(({ service, namespace, isRoot, failOpen, isThere }) => {
    const provider = { service: `${service}.${namespace}.svc.cluster.local`, port: 80, failOpen };
    const mesh = { extensionProviders: isThere ? [{ name: 'authz', envoyExtAuthzHttp: provider }] : [] };
    const metadata = { name: 'istio', namespace: isRoot ? 'istio-system' : namespace };
    return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { mesh: JSON.stringify(mesh) } };
  });
