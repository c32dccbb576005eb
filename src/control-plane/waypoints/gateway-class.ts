import { CONTROLLER_NAME, WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import type { ServedKind } from '#protocol/kubernetes/objects.ts';
import type { ObjectWriter } from '#protocol/kubernetes/writing.ts';

const GATEWAY_CLASSES: ServedKind = {
  ...{ group: 'gateway.networking.k8s.io', version: 'v1' },
  ...{ kind: 'GatewayClass', plural: 'gatewayclasses', namespaced: false },
};

/**
 * Makes the class whose Gateways are waypoints where there is none: people see it among the classes that they can choose from. One
 * that is there stays as it is, and waypoints run without it, too.
 */
export class WaypointClass {
  readonly #options: { writer: Pick<ObjectWriter, 'get' | 'create'>; log: Log };
  /** Why there is none; '': there is one, or nobody has looked. */
  #problem = '';

  constructor(options: { writer: Pick<ObjectWriter, 'get' | 'create'>; log: Log }) {
    this.#options = options;
  }

  /** Looks, and makes it. An API server without the Gateway API has no such kind: its reason is told once. */
  look(): void {
    this.#make().then(
      () => {
        this.#problem = '';
      },
      (error: unknown) => {
        const problem = messageOf(error);
        if (problem !== this.#problem) this.#options.log.warn({ error: problem }, 'the class of waypoints is not there');
        this.#problem = problem;
      },
    );
  }

  async #make(): Promise<void> {
    const { writer } = this.#options;
    // Istio's name is for those who have such a class already.
    const [name = ''] = WAYPOINT_CLASSES;
    if ((await writer.get(GATEWAY_CLASSES, { namespace: '', name })) !== null) return;
    const { group, version, kind } = GATEWAY_CLASSES;
    const spec = { controllerName: CONTROLLER_NAME, description: 'waypoints of the mesh, run by Weft' };
    // Somebody who makes one at the same time is as good.
    await writer.create(GATEWAY_CLASSES, { apiVersion: `${group}/${version}`, kind, metadata: { name }, spec });
  }
}
