import type { MeshReader } from '#control-plane/index/derivation.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { listPorts } from '#control-plane/mesh/route-backends.ts';
import { SERVICES, serviceNamesIn } from '#control-plane/mesh/services.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import type { GlobalLimit, RateLimit } from '#model/waypoint/traffic.ts';
import type { WrittenLimit } from './schema.ts';

/** What waypoints are told of a limit. Whether the service is there is theirs to find out: it may come later, or leave. */
export function limitFor({ global, ...limit }: WrittenLimit, options: MeshOptions): RateLimit {
  if (global === null) return limit;
  const { service: own, ...rest } = global;
  return { ...limit, global: { ...rest, server: serverOf(own ?? options.rateLimitService, options) } };
}

/** By the name that waypoints know services by. */
function serverOf(named: MeshOptions['rateLimitService'], options: MeshOptions): GlobalLimit['server'] {
  if (named === null) return null;
  const { namespace, name, port } = named;
  return { service: serviceKeyOf({ namespace, hostname: serviceHostname(namespace, name, options) }), port };
}

/** Why nobody counts for the global rules of a limit; null: somebody does, or it has none. */
export function serverProblem({ global }: WrittenLimit, mesh: MeshReader<typeof SERVICES>): Problem | null {
  if (global === null) return null;
  const path: FieldPath = ['spec', 'rateLimit', 'service'];
  const named = global.service ?? mesh.options.rateLimitService;
  // Authors want to know what happens meanwhile, not only what is wrong.
  const until = global.failOpen ? 'requests pass uncounted' : 'requests are refused';
  if (named === null) {
    const message = `scope Global needs a rate limit service, and neither the policy nor the control plane names one: ${until}`;
    const remedy = 'name one here, or for the whole mesh with weft control --rate-limit-service';
    return warningAt('WEFT_REFERENCE_UNRESOLVED', path, message, remedy);
  }
  const { namespace, name, port } = named;
  const service = mesh.get(SERVICES, `${namespace}/${name}`);
  // Who reads it may not know that the name is not theirs.
  const whose = global.service === null ? ', which the control plane names for the mesh,' : '';
  if (service === null) {
    const message = `Service ${namespace}/${name}${whose} not found${didYouMean(name, serviceNamesIn(mesh, namespace))}: ${until}`;
    return warningAt('WEFT_REFERENCE_UNRESOLVED', path, message, 'correct the name, or create the Service');
  }
  if (service.ports.some((one) => one.port === port && one.protocol === 'TCP')) return null;
  const message = `Service ${namespace}/${name}${whose} has no port ${port} (ports: ${listPorts(service)}): ${until}`;
  return warningAt('WEFT_REFERENCE_UNRESOLVED', [...path, 'port'], message, 'use the port by which it serves gRPC');
}
