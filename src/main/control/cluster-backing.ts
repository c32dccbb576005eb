import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { TraceOptions } from '#cli/traces.ts';
import { AUDIENCES, eitherAuthenticator, TokenReviewAuthenticator } from '#control-plane/authentication/token-review.ts';
import { controlName } from '#control-plane/ca/server-certificate.ts';
import { KINDS } from '#control-plane/kinds/list.ts';
import { kubernetesSource } from '#control-plane/sources/kubernetes/kubernetes-source.ts';
import { StatusDesk } from '#control-plane/sources/kubernetes/status-desk.ts';
import { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import { ClusterWaypoints } from '#control-plane/waypoints/cluster-waypoints.ts';
import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { PORT } from '#model/mesh/ports.ts';
import { systemClock } from '#platform/clock.ts';
import { inClusterAccess } from '#platform/kubernetes/access.ts';
import { ClusterReplica } from '#platform/kubernetes/cluster-replica.ts';
import { KubernetesConnection } from '#platform/kubernetes/connection.ts';
import { followBuiltIn, followCluster } from '#platform/kubernetes/follow-cluster.ts';
import { readKubeconfig } from '#platform/kubernetes/kubeconfig.ts';
import { KubernetesObjects } from '#platform/kubernetes/objects.ts';
import { secretState } from '#platform/kubernetes/secret-state.ts';
import { systemRandom } from '#platform/random.ts';
import type { FollowBuiltIn, FollowCluster } from '#protocol/kubernetes/following.ts';
import { ObjectEvents } from '#protocol/kubernetes/object-events.ts';
import { readTokenReview, tokenReviewOf } from '#protocol/kubernetes/token-review.ts';
import type { Backing } from './backing.ts';

/**
 * A cluster: by a kubeconfig, or null for the one that this is a pod of. `namespace`: of the control plane. `waypointImage`: what waypoints
 * are run by; null: Gateways get none. `autoWaypoints`: some are made that nobody named. `traces`: who they tell of requests,
 * and `accessLogFormat`: how their logs do.
 */
export type ClusterPlace = {
  kubeconfig: string | null;
  namespace: string;
  version: string;
  waypointImage: string | null;
  autoWaypoints: boolean;
  traces: TraceOptions | null;
  accessLogFormat: string | null;
};

/** What the replicas of one control plane share a Lease and Secrets by. */
const OWNER = 'weft-control';
/** One of them may go with its node: a waypoint that is missing is a refusal. */
const WAYPOINT_REPLICAS = 2;
/** The agents' account, in the namespace of the control plane. */
const AGENT_ACCOUNT = 'weft-agent';

/** The API server of a cluster: resources are its objects, state is Secrets, and of several replicas the one with the Lease leads. */
export async function clusterBacking(place: ClusterPlace, log: Log): Promise<Backing> {
  const { kubeconfig, namespace, version, waypointImage: image, traces, accessLogFormat } = place;
  const access = kubeconfig === null ? await inClusterAccess() : await readKubeconfig(kubeconfig);
  const connection = new KubernetesConnection(access, version);
  const objects = new KubernetesObjects(connection);
  const clock = systemClock;
  // A pod's host name is its own; what runs anew under it is another holder.
  const name = `${hostname()}_${randomUUID()}`;
  const replica = new ClusterReplica({ connection, namespace, owner: OWNER, name, clock, log });
  replica.join();
  const state = secretState(objects, { namespace, owner: OWNER }, replica);
  const status = statusDesk(objects, name, log);
  const follow: FollowCluster = (kinds, listener) => followCluster({ connection, clock, random: systemRandom }, kinds, listener);
  const followNamed: FollowBuiltIn = (kinds, listener) =>
    followBuiltIn({ connection, clock, random: systemRandom }, kinds, listener);
  const tellOfWaypoint = (key: string, message: string | null): void =>
    status.refute(`Gateway ${key}`, message === null ? null : { type: 'Programmed', reason: 'Invalid', message });
  return {
    state,
    kept: null,
    replica,
    autoWaypoints: place.autoWaypoints,
    waypoints(rootsPem) {
      if (image === null) return null;
      const tells = { traces, accessLogFormat };
      const setup = { image, control: `${controlName(namespace)}:${PORT.control}`, replicas: WAYPOINT_REPLICAS, ...tells };
      const effects = { writer: objects, follow, clock, random: systemRandom, log };
      return new ClusterWaypoints({ ...effects, setup, rootsPem, tell: tellOfWaypoint });
    },
    open({ parser }) {
      const source = kubernetesSource({
        kinds: KINDS,
        parser,
        ...{ follow, followNamed },
        lastGood: new LastGoodVersions(state, log, { clock, random: systemRandom }),
        status,
        clock,
      });
      return { source, editor: source.editor() };
    },
    authenticator: (own) => eitherAuthenticator(own, reviewedBy(connection, namespace)),
    meter: (meters) => connection.traffic.meter(meters),
    reload: async () => {}, // an API server tells by itself
    async ready(names) {
      if (await replica.ready(names)) return;
      throw new WeftError(
        'WEFT_NO_LEADER',
        `no control plane of namespace ${namespace} has made what all of them need: ${names.join(', ')}`,
        {
          remedy:
            'see the log of the control plane that holds the Lease, and that its account may write Secrets and Leases there',
        },
      );
    },
    async close() {
      await replica.leave();
      connection.close();
    },
  };
}

/** What is said to users of a cluster about their objects; `instance`: which process of ours says it. */
function statusDesk(writer: KubernetesObjects, instance: string, log: Log): StatusDesk {
  const effects = { writer, clock: systemClock, log };
  const newId = (): string => randomUUID().slice(0, 13);
  const events = new ObjectEvents({ ...effects, controller: 'weft.dev/control', instance: instance.slice(0, 128), newId });
  return new StatusDesk({
    ...effects,
    tell: (object, served, why) => events.warn(object, served, 'ResourceRefused', 'Read', why),
    random: systemRandom,
  });
}

/** Asks the API server who a token is of. */
function reviewedBy(connection: KubernetesConnection, namespace: string): TokenReviewAuthenticator {
  return new TokenReviewAuthenticator({
    nodeAccounts: [`${namespace}/${AGENT_ACCOUNT}`],
    review: async (token) => {
      const path = '/apis/authentication.k8s.io/v1/tokenreviews';
      const body = tokenReviewOf(token, AUDIENCES);
      return readTokenReview(await connection.ask({ method: 'POST', path, body }), AUDIENCES);
    },
    clock: systemClock,
  });
}
