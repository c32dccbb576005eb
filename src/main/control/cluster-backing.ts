import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { AUDIENCES, eitherAuthenticator, TokenReviewAuthenticator } from '#control-plane/authentication/token-review.ts';
import { KINDS } from '#control-plane/kinds/list.ts';
import { kubernetesSource } from '#control-plane/sources/kubernetes/kubernetes-source.ts';
import { ObjectEvents } from '#control-plane/sources/kubernetes/object-events.ts';
import { StatusDesk } from '#control-plane/sources/kubernetes/status-desk.ts';
import { LastGoodVersions } from '#control-plane/sources/last-good.ts';
import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { systemClock } from '#platform/clock.ts';
import { inClusterAccess } from '#platform/kubernetes/access.ts';
import { ClusterReplica } from '#platform/kubernetes/cluster-replica.ts';
import { KubernetesConnection } from '#platform/kubernetes/connection.ts';
import { followCluster } from '#platform/kubernetes/follow-cluster.ts';
import { readKubeconfig } from '#platform/kubernetes/kubeconfig.ts';
import { KubernetesObjects } from '#platform/kubernetes/objects.ts';
import { secretState } from '#platform/kubernetes/secret-state.ts';
import { systemRandom } from '#platform/random.ts';
import { readTokenReview, tokenReviewOf } from '#protocol/kubernetes/token-review.ts';
import type { Backing } from './backing.ts';

/** A cluster: by a kubeconfig, or null for the one that this is a pod of. `namespace`: of the control plane. */
export type ClusterPlace = { kubeconfig: string | null; namespace: string; version: string };

/** What the replicas of one control plane share a Lease and Secrets by. */
const OWNER = 'weft-control';
/** The agents' account, in the namespace of the control plane. */
const AGENT_ACCOUNT = 'weft-agent';

/** The API server of a cluster: resources are its objects, state is Secrets, and of several replicas the one with the Lease leads. */
export async function clusterBacking({ kubeconfig, namespace, version }: ClusterPlace, log: Log): Promise<Backing> {
  const access = kubeconfig === null ? await inClusterAccess() : await readKubeconfig(kubeconfig);
  const connection = new KubernetesConnection(access, version);
  const objects = new KubernetesObjects(connection);
  const clock = systemClock;
  // A pod's host name is its own; what runs anew under it is another holder.
  const name = `${hostname()}_${randomUUID()}`;
  const replica = new ClusterReplica({ connection, namespace, owner: OWNER, name, clock, log });
  replica.join();
  const state = secretState(objects, { namespace, owner: OWNER }, replica);
  const events = new ObjectEvents({
    writer: objects,
    instance: name.slice(0, 128),
    newId: () => randomUUID().slice(0, 13),
    clock,
    log,
  });
  const status = new StatusDesk({
    writer: objects,
    tell: (object, served, why) => events.warn(object, served, 'ResourceRefused', 'Read', why),
    clock,
    random: systemRandom,
    log,
  });
  return {
    state,
    kept: null,
    replica,
    open({ parser }) {
      const source = kubernetesSource({
        kinds: KINDS,
        parser,
        follow: (kinds, listener) => followCluster({ connection, clock, random: systemRandom }, kinds, listener),
        lastGood: new LastGoodVersions(state, log, { clock, random: systemRandom }),
        status,
        clock,
      });
      return { source, editor: source.editor() };
    },
    authenticator: (own) =>
      eitherAuthenticator(
        own,
        new TokenReviewAuthenticator({
          nodeAccounts: [`${namespace}/${AGENT_ACCOUNT}`],
          review: async (token) => {
            const body = tokenReviewOf(token, AUDIENCES);
            const path = '/apis/authentication.k8s.io/v1/tokenreviews';
            return readTokenReview(await connection.ask({ method: 'POST', path, body }), AUDIENCES);
          },
          clock,
        }),
      ),
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
