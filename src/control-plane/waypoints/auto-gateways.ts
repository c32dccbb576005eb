import type { AutoGateway } from '#control-plane/index/index-delta.ts';
import { ANNOTATION, HBONE_PROTOCOL, LABEL, WAYPOINT_CLASSES } from '#control-plane/mesh/well-known.ts';
import { WriteQueue } from '#control-plane/sources/kubernetes/write-queue.ts';
import type { Cancel, Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { PORT } from '#model/mesh/ports.ts';
import { Retry } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import type { KubeObject } from '#protocol/kubernetes/objects.ts';
import type { ObjectWriter } from '#protocol/kubernetes/writing.ts';
import { autoGatewayStep } from './plan.ts';
import { GATEWAYS } from './waypoint-objects.ts';

/** What making Gateways that nobody asked for by name needs. */
export type AutoGatewaysOptions = {
  writer: Pick<ObjectWriter, 'get' | 'create' | 'replace' | 'remove'>;
  clock: Clock;
  random: Random;
  log: Log;
};

/** What is known of one namespace. `unneededSinceMs`: null while something needs it. */
type Wish = { gateway: AutoGateway; unneededSinceMs: number | null; cancel: Cancel; problem: string };

/**
 * Makes the Gateway of a namespace in which something needs a waypoint and names none, writes on it that it has been ready, and removes
 * it a while after the last that needed it. What it is like is its users' business: it is made, and never made as it was.
 */
export class AutoGateways {
  readonly #options: AutoGatewaysOptions;
  /** By namespace. */
  readonly #wishes = new Map<string, Wish>();
  readonly #retries = new Map<string, Retry>();
  readonly #queue: WriteQueue;
  #acts = false;

  constructor(options: AutoGatewaysOptions) {
    this.#options = options;
    this.#queue = new WriteQueue({ write: (namespace) => this.#reconcile(namespace), clock: options.clock });
  }

  /** Begins to act on what has been told, and on what is. */
  start(): void {
    this.#acts = true;
    for (const namespace of this.#wishes.keys()) this.#look(namespace);
  }

  /** null: nothing needs one there, and there is none. */
  change(gateways: ReadonlyMap<string, AutoGateway | null>): void {
    for (const [namespace, gateway] of gateways) {
      if (gateway === null) this.#forget(namespace);
      else this.#take(namespace, gateway);
    }
  }

  /** Stops acting; what is wanted is still heard. */
  stop(): void {
    this.#acts = false;
    this.#queue.clear();
    for (const { cancel } of this.#wishes.values()) cancel();
    for (const retry of this.#retries.values()) retry.close();
    this.#retries.clear();
  }

  #take(namespace: string, gateway: AutoGateway): void {
    const { clock } = this.#options;
    const known = this.#wishes.get(namespace);
    const unneededSinceMs = gateway.isNeeded ? null : (known?.unneededSinceMs ?? clock.monotonicMs());
    known?.cancel();
    this.#wishes.set(namespace, { gateway, unneededSinceMs, cancel: () => {}, problem: known?.problem ?? '' });
    this.#look(namespace);
  }

  #forget(namespace: string): void {
    this.#wishes.get(namespace)?.cancel();
    this.#retries.get(namespace)?.close();
    this.#wishes.delete(namespace);
    this.#retries.delete(namespace);
  }

  #look(namespace: string): void {
    if (this.#acts) this.#queue.add(namespace, false);
  }

  async #reconcile(namespace: string): Promise<void> {
    const wish = this.#wishes.get(namespace);
    if (wish === undefined || !this.#acts) return;
    const retry = this.#retryOf(namespace);
    retry.begun();
    try {
      await this.#act(wish);
      retry.succeeded();
      wish.problem = '';
    } catch (error) {
      this.#tell(wish, messageOf(error));
      retry.failed();
    }
  }

  #retryOf(namespace: string): Retry {
    const backoff = { firstMs: CONTROL.restartFirstMs, maxMs: CONTROL.restartMaxMs };
    const retry = this.#retries.get(namespace) ?? new Retry(this.#options, backoff, () => this.#look(namespace));
    this.#retries.set(namespace, retry);
    return retry;
  }

  async #act(wish: Wish): Promise<void> {
    const { writer, clock, log } = this.#options;
    const { namespace, name } = wish.gateway;
    const unneededMs = wish.unneededSinceMs === null ? null : clock.monotonicMs() - wish.unneededSinceMs;
    const step = autoGatewayStep(wish.gateway, unneededMs);
    wish.cancel();
    switch (step.kind) {
      case 'create':
        if ((await writer.create(GATEWAYS, gatewayObject(wish.gateway))) !== null)
          log.info({ waypoint: `${namespace}/${name}` }, 'made a waypoint for what needs one');
        return;
      case 'activate':
        return this.#activate(wish.gateway);
      case 'remove':
        if (await writer.remove(GATEWAYS, wish.gateway))
          log.info({ waypoint: `${namespace}/${name}` }, 'removed the waypoint that nothing needs any more');
        return;
      case 'wait':
        if (step.ms !== null) wish.cancel = clock.after(step.ms, () => this.#look(namespace));
    }
  }

  /** Its status is written at about the same time. Errors: when it was changed each time meanwhile; it is tried again. */
  async #activate(place: AutoGateway): Promise<void> {
    const { writer } = this.#options;
    for (let tries = 0; tries < KUBERNETES.statusTries; tries++) {
      const there = await writer.get(GATEWAYS, place);
      if (there === null) return;
      const annotations = { ...there.metadata.annotations, [ANNOTATION.activated]: 'true' };
      if ((await writer.replace(GATEWAYS, { ...there, metadata: { ...there.metadata, annotations } })) !== null) return;
    }
    throw new Error(`Gateway ${place.namespace}/${place.name} is changed all the time by somebody else`);
  }

  #tell(wish: Wish, problem: string): void {
    if (problem !== wish.problem)
      this.#options.log.warn(
        { waypoint: `${wish.gateway.namespace}/${wish.gateway.name}`, problem },
        'the automatic waypoint of a namespace is not kept',
      );
    wish.problem = problem;
  }
}

function gatewayObject({ namespace, name }: AutoGateway): KubeObject {
  const { group, version, kind } = GATEWAYS;
  const [gatewayClassName = ''] = WAYPOINT_CLASSES;
  return {
    apiVersion: `${group}/${version}`,
    kind,
    metadata: {
      ...{ name, namespace, labels: { [LABEL.waypointFor]: 'service' } },
      annotations: { [ANNOTATION.automatic]: 'true' },
    },
    spec: { gatewayClassName, listeners: [{ name: 'mesh', port: PORT.hbone, protocol: HBONE_PROTOCOL }] },
  };
}
