import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { apiVersionOf, type KubeObject, type ServedKind } from './objects.ts';
import type { ObjectWriter } from './writing.ts';

/** Events as an API server takes them. */
const EVENTS: ServedKind = { group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', namespaced: true };
/** Fixed by Kubernetes: where events about objects without a namespace are. */
const CLUSTER_EVENTS = 'default';

/** What telling needs. `controller`: which part of ours tells, `instance`: which process of it. */
export type ObjectEventsOptions = {
  writer: Pick<ObjectWriter, 'create'>;
  controller: string;
  instance: string;
  newId: () => string;
  clock: Clock;
  log: Log;
};

/** Tells users about their objects by events, which `kubectl describe` shows: each object gets one of a reason and text an hour. */
export class ObjectEvents {
  readonly #options: ObjectEventsOptions;
  /** Object, reason and text → when it was told; in order of time. */
  readonly #told = new Map<string, number>();

  constructor(options: ObjectEventsOptions) {
    this.#options = options;
  }

  /** Warns; returns at once. What cannot be told is in the log: the status says it, too. */
  warn(object: KubeObject, served: ServedKind, reason: string, action: string, text: string): void {
    const { metadata } = object;
    const nowMs = this.#options.clock.nowMs();
    const key = `${metadata.uid ?? ''} ${reason} ${text}`;
    const lastMs = this.#told.get(key);
    if (lastMs !== undefined && nowMs - lastMs < KUBERNETES.eventEveryMs) return;
    this.#told.delete(key);
    this.#told.set(key, nowMs);
    for (const [oldest] of this.#told) {
      if (this.#told.size <= KUBERNETES.eventsKnownMax) break;
      this.#told.delete(oldest);
    }
    this.#create(object, served, { reason, action, note: text.slice(0, KUBERNETES.eventCharactersMax) }).catch((error: unknown) =>
      this.#options.log.warn({ err: error, object: `${served.kind} ${metadata.name}` }, 'an event is not written'),
    );
  }

  async #create(object: KubeObject, served: ServedKind, said: { reason: string; action: string; note: string }): Promise<void> {
    const { writer, controller, instance, newId, clock } = this.#options;
    const { name, namespace = '', uid = '', resourceVersion = '' } = object.metadata;
    const regarding = { apiVersion: apiVersionOf(served), kind: served.kind, name, namespace, uid, resourceVersion };
    await writer.create(EVENTS, {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${name.slice(0, 200)}.${newId()}`, namespace: namespace || CLUSTER_EVENTS },
      eventTime: new Date(clock.nowMs()).toISOString().replace('Z', '000Z'),
      reportingController: controller,
      reportingInstance: instance,
      type: 'Warning',
      regarding,
      ...said,
    });
  }
}
