import type { Condition } from '#control-plane/index/index-delta.ts';
import type { OwnStatus } from '#control-plane/resources/cluster-kind.ts';
import type { Finding } from '#control-plane/resources/finding.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { Reading } from '#control-plane/sources/ledger-unit.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { backoffMs } from '#model/resilience/retry.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import type { FollowedKind } from '#protocol/kubernetes/following.ts';
import { apiVersionOf, type KubeObject, type ServedKind } from '#protocol/kubernetes/objects.ts';
import type { ObjectWriter } from '#protocol/kubernetes/writing.ts';
import { ownPart, type Subject, statusToWrite } from './object-status.ts';
import { WriteQueue } from './write-queue.ts';

/** What writing needs. `tell`: shows a user why an object is refused. */
export type StatusDeskOptions = {
  writer: ObjectWriter;
  tell: (object: KubeObject, served: ServedKind, why: string) => void;
  clock: Clock;
  random: Random;
  log: Log;
};

/** Why a condition of this type does not hold. */
export type Refutation = { type: string; reason: string; message: string };

/** One object whose status may be ours to write, as it was last seen. */
type Seen = { kind: FollowedKind; own: OwnStatus; object: KubeObject; refusal: string | null };

/**
 * Keeps the status of objects as it should be: what became of each is written where it differs, by whoever leads, the newest only,
 * and of an object at most one a second. What is equal is never written (K111, K94).
 */
export class StatusDesk {
  readonly #options: StatusDeskOptions;
  readonly #queue: WriteQueue;
  readonly #seen = new Map<string, Seen>();
  readonly #conditions = new Map<string, readonly Condition[]>();
  readonly #failed = new Map<string, string>();
  /** Unit → the condition that does not hold whatever follows from resources, and why. */
  readonly #refuted = new Map<string, Refutation>();
  #served: (kind: FollowedKind) => ServedKind | null = () => null;
  #leads = true;
  #closed = false;

  constructor(options: StatusDeskOptions) {
    this.#options = options;
    this.#queue = new WriteQueue({ write: (unit) => this.#write(unit), clock: options.clock });
  }

  /** How kinds are served. */
  follow(served: (kind: FollowedKind) => ServedKind | null): void {
    this.#served = served;
  }

  /** Whether it writes; who begins to, looks at everything. */
  lead(leads: boolean): void {
    const begins = leads && !this.#leads;
    this.#leads = leads;
    if (!leads) this.#queue.clear();
    if (begins) this.inForce([...this.#seen.keys()]);
  }

  /** An object as it is now; what is to be said of it comes with `report` and `inForce`. */
  see(unit: string, kind: FollowedKind, own: OwnStatus, object: KubeObject, reading: Reading): void {
    this.#seen.set(unit, { kind, own, object, refusal: refusalOf(reading) });
  }

  /** An object is gone. */
  forget(unit: string): void {
    this.#seen.delete(unit);
    this.#failed.delete(unit);
  }

  /** All conditions of each resource named. */
  report(changed: ReadonlyMap<ResourceName, readonly Condition[]>): void {
    for (const [name, conditions] of changed) {
      if (conditions.length === 0) this.#conditions.delete(name);
      else this.#conditions.set(name, conditions);
      this.#look(name);
    }
  }

  /** What these objects say now is in force, and what became of it was reported. */
  inForce(units: readonly string[]): void {
    for (const unit of units) this.#look(unit);
  }

  /** A condition of a unit does not hold, for a reason that no resource tells; null: what follows from resources counts. */
  refute(unit: string, refutation: Refutation | null): void {
    if (refutation === null) this.#refuted.delete(unit);
    else this.#refuted.set(unit, refutation);
    this.#look(unit);
  }

  /** What could not be written, a sentence each. */
  problems(): string[] {
    return [...this.#failed].map(([unit, why]) => `the status of ${unit} is not written: ${why}`);
  }

  close(): void {
    this.#closed = true;
    this.#queue.clear();
  }

  /** Plans a write where the status is not what it should be. */
  #look(unit: string): void {
    const seen = this.#seen.get(unit);
    if (seen === undefined || !this.#leads || this.#closed) return;
    const { object, own, kind, refusal } = seen;
    const served = this.#served(kind);
    if (refusal !== null && served !== null) this.#options.tell(object, served, refusal);
    if (statusToWrite(subjectOf(object, own), this.#conditionsOf(unit, seen), this.#now()) === null) {
      this.#queue.drop(unit);
      this.#failed.delete(unit);
      return;
    }
    // What a person has just edited comes before what nobody waits for.
    this.#queue.add(unit, isEdited(object));
  }

  #conditionsOf(unit: string, { refusal, own, object }: Seen): readonly Condition[] {
    // Units are called as resources are.
    if (refusal !== null) return conditionsOfRefused(unit as ResourceName, own, object.spec, refusal);
    const conditions = this.#conditions.get(unit) ?? [];
    const refuted = this.#refuted.get(unit);
    if (refuted === undefined) return conditions;
    return conditions.map((one) => (one.type === refuted.type ? { ...one, status: 'False', ...refuted } : one));
  }

  async #write(unit: string): Promise<void> {
    try {
      for (let tries = 1; !(await this.#tryToWrite(unit, tries > 1)); tries++) {
        if (tries > KUBERNETES.statusTries) throw new Error('somebody else writes it all the time');
        await this.#pause(tries);
      }
      this.#failed.delete(unit);
    } catch (error) {
      if (this.#closed) return;
      const why = messageOf(error);
      if (this.#failed.get(unit) !== why) this.#options.log.warn({ object: unit, error: why }, 'a status is not written');
      this.#failed.set(unit, why);
      // Its turn comes again, behind all others.
      this.#queue.add(unit, false);
    }
  }

  /** false: somebody else has written meanwhile. `anew`: what is known of the object is too old. */
  async #tryToWrite(unit: string, anew: boolean): Promise<boolean> {
    const { writer } = this.#options;
    const seen = this.#seen.get(unit);
    const served = seen === undefined ? null : this.#served(seen.kind);
    if (seen === undefined || served === null || !this.#leads || this.#closed) return true;
    const { namespace = '', name } = seen.object.metadata;
    const object = anew ? await writer.get(served, { namespace, name }) : seen.object;
    // One that was made anew under the same name is seen by itself.
    if (object === null || object.metadata.uid !== seen.object.metadata.uid) return true;
    const conditions = this.#conditionsOf(unit, seen);
    const status = statusToWrite(subjectOf(object, seen.own), conditions, this.#now());
    if (status === null) return true;
    const head = { apiVersion: apiVersionOf(served), kind: served.kind };
    if (seen.own.form === 'applied') {
      const metadata = { name, namespace };
      const own = { ...head, metadata, status: ownPart(seen.own, status) };
      await writer.apply(served, own, `weft-control/${served.kind.toLowerCase()}`, 'status');
      return true;
    }
    const { resourceVersion = '' } = object.metadata;
    const written = { ...object, ...head, metadata: { name, namespace, resourceVersion }, status };
    return (await writer.replace(served, written, 'status')) !== null;
  }

  #pause(tries: number): Promise<void> {
    const { clock, random } = this.#options;
    const waitMs = backoffMs(tries, { firstMs: KUBERNETES.statusRetryMs, maxMs: KUBERNETES.backoffMaxMs }, random);
    return new Promise((resolve) => {
      clock.after(waitMs, resolve);
    });
  }

  #now(): string {
    return new Date(this.#options.clock.nowMs()).toISOString().replace(/\.\d+Z$/, 'Z');
  }
}

function subjectOf({ metadata, spec, status }: KubeObject, own: OwnStatus): Subject {
  const { namespace = '', generation } = metadata;
  return { own, namespace, generation: typeof generation === 'number' ? generation : null, spec, status };
}

/** Whether nobody has said yet what became of the object as it is now. */
function isEdited({ metadata: { generation }, status }: KubeObject): boolean {
  if (generation === undefined) return true;
  return !JSON.stringify(status ?? null).includes(`"observedGeneration":${generation}`);
}

/** Why an object is refused, in one text; null: it is not. */
function refusalOf({ entries, findings }: Reading): string | null {
  if (entries.every(({ resource }) => resource !== null)) return null;
  return findings
    .filter(({ severity }) => severity === 'error')
    .slice(0, RESOURCE.messagesMax)
    .map(textOf)
    .join('; ');
}

function textOf({ fieldPath, message, remedy }: Finding): string {
  return `${fieldPath === '' ? '' : `${fieldPath}: `}${message} (${remedy})`;
}

/** What the status of a refused object says in place of what follows from its last good version. */
function conditionsOfRefused(name: ResourceName, own: OwnStatus, spec: unknown, why: string): Condition[] {
  return own.refused(spec).map((one) => ({ resource: name, status: 'False', message: why, ...one }));
}
