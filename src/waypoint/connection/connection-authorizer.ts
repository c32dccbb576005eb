import { formatIdentity } from '#model/identity/identity.ts';
import { identityOf } from '#model/mesh/workload.ts';
import { questionsAboutConnection } from '#model/policy/custom.ts';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { CheckFacts } from '#protocol/authorizer/check.ts';
import { type ConnectionFacts, policyFacts } from '#waypoint/connection/connection-facts.ts';
import { policiesFor } from '#waypoint/connection/destination.ts';
import type { Snapshot } from '#waypoint/state/snapshot.ts';
import { type Asking, askByGrpc, OpenQuestions } from '#waypoint/upstream/authorizer-questions.ts';
import type { CallParts } from '#waypoint/upstream/service-call.ts';

/** Asks authorizers about connections that are not HTTP, by gRPC (W67). */
export class ConnectionAuthorizer {
  readonly #parts: CallParts;
  readonly #questions = new OpenQuestions();

  constructor(parts: CallParts) {
    this.#parts = parts;
  }

  ask(facts: ConnectionFacts, authorizer: ExternalAuthorizer): Asking {
    const shown = { ...checkedEnds(facts), startedMs: this.#parts.effects.clock.nowMs(), http: null };
    return this.#questions.ask(() => askByGrpc(authorizer, shown, this.#parts));
  }
}

/** What is asked about one connection. */
export class Inquiry {
  readonly #authorizer: ConnectionAuthorizer;
  readonly #facts: ConnectionFacts;
  /** Those who let it pass, by name. */
  readonly #passed = new Set<string>();
  #abort: () => void = () => {};
  #over = false;

  constructor(authorizer: ConnectionAuthorizer, facts: ConnectionFacts) {
    this.#authorizer = authorizer;
    this.#facts = facts;
  }

  /** Whether all whom these policies name have let it pass. */
  isDone(snapshot: Snapshot): boolean {
    return this.#next(snapshot) === null;
  }

  /** Asks one after the other; null when all let it pass, or it was given up, else why not, as the log says it. */
  async ask(inForce: () => Snapshot): Promise<string | null> {
    for (let next = this.#next(inForce()); next !== null && !this.#over; next = this.#next(inForce())) {
      const { verdict, abort } = this.#authorizer.ask(this.#facts, next);
      this.#abort = abort;
      const said = await verdict;
      if (said.kind === 'deny') return 'ext_authz_denied';
      if (said.kind === 'error' && !next.failOpen) return `ext_authz_error{${next.name}|${said.why}}`.replaceAll(' ', '_');
      this.#passed.add(next.name);
    }
    return null;
  }

  /** Nobody waits for the answer any more. */
  abort(): void {
    this.#over = true;
    this.#abort();
  }

  #next(snapshot: Snapshot): ExternalAuthorizer | null {
    const custom = policiesFor(this.#facts.destination, snapshot)?.custom ?? [];
    if (custom.length === 0) return null;
    const questions = questionsAboutConnection(custom, policyFacts(this.#facts, null));
    return questions.find(({ authorizer }) => !this.#passed.has(authorizer.name))?.authorizer ?? null;
  }
}

/** Who is at both ends. Envoy's waypoint would leave out the client's identity: it is that of its connection. */
export function checkedEnds({
  client,
  principal,
  destination,
  record,
}: ConnectionFacts): Pick<CheckFacts, 'source' | 'destination'> {
  const identity = destination.kind === 'workload' ? identityOf(destination.workload) : null;
  return {
    source: {
      address: client.address,
      port: client.port,
      principal: principal ?? '',
      service: record.source.workload?.canonicalName ?? '',
    },
    destination: {
      address: destination.address ?? '',
      port: destination.port,
      principal: identity === null ? '' : formatIdentity(identity),
      service: destination.kind === 'service' ? destination.key.slice(destination.key.indexOf('/') + 1) : '',
    },
  };
}
