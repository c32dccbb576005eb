import type { Cancel, Clock } from '#model/effects/clock.ts';
import { type Credentials, formatIdentity, type Identity } from '#model/identity/identity.ts';
import { AGENT } from '#model/settings/agents.ts';
import { isAhead } from '#protocol/ca/renewal.ts';
import type { CommonToControl, CommonToData, Link } from './common-messages.ts';

type Waiter = { resolve(credentials: Credentials): void; reject(error: Error): void; cancel: Cancel };

/** Certificates and keys that one that carries has been given; in memory only. What is not there is asked for. */
export class CredentialBook {
  readonly #control: Link<CommonToControl>;
  readonly #clock: Clock;
  readonly #held = new Map<string, Credentials>();
  /** Those whose time had not come when they were given: there was no other. */
  readonly #hadNotCome = new WeakSet<Credentials>();
  readonly #waiting = new Map<string, Waiter[]>();

  constructor(control: Link<CommonToControl>, clock: Clock) {
    this.#control = control;
    this.#clock = clock;
  }

  /** Valid ones that are at hand; null: there are none here. */
  current(identity: Identity): Credentials | null {
    const held = this.#held.get(formatIdentity(identity));
    const nowMs = this.#clock.nowMs();
    if (held === undefined || held.notAfterMs <= nowMs) return null;
    // The clock was set back: control knows whether there is another one.
    return !this.#hadNotCome.has(held) && isAhead(held, nowMs) ? null : held;
  }

  /** Valid ones; a renewed one is a new object. Rejects when there are none, or no answer in time. */
  get(identity: Identity): Promise<Credentials> {
    const held = this.current(identity);
    if (held !== null) return Promise.resolve(held);
    const name = formatIdentity(identity);
    return new Promise((resolve, reject) => {
      const waiters = this.#waiting.get(name);
      const cancel = this.#clock.after(AGENT.answerDeadlineMs, () => {
        this.#waiting.set(
          name,
          (this.#waiting.get(name) ?? []).filter((one) => one !== waiter),
        );
        reject(new Error('the process is too busy to give the certificate'));
      });
      const waiter: Waiter = { resolve, reject, cancel };
      if (waiters !== undefined && waiters.length > 0) {
        waiters.push(waiter);
        return;
      }
      this.#waiting.set(name, [waiter]);
      this.#control.send({ kind: 'credentials', identity });
    });
  }

  /** Takes what control says of an identity. */
  take({ identity, credentials, error }: Extract<CommonToData, { kind: 'credentials' }>): void {
    const name = formatIdentity(identity);
    const waiters = this.#waiting.get(name) ?? [];
    this.#waiting.delete(name);
    // The same one again is no renewal: tunnels under it stay in use.
    const held = this.#held.get(name);
    const current = held !== undefined && held.chainPem === credentials?.chainPem && held !== credentials ? held : credentials;
    if (current === null) this.#held.delete(name);
    else {
      this.#held.set(name, current);
      if (isAhead(current, this.#clock.nowMs())) this.#hadNotCome.add(current);
    }
    for (const { resolve, reject, cancel } of waiters) {
      cancel();
      if (current === null) reject(new Error(error));
      else resolve(current);
    }
  }

  /** What is held of an identity is worth nothing any more. */
  lapse(identity: Identity): void {
    this.#held.delete(formatIdentity(identity));
  }
}
