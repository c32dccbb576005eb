import type { IpAddress } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import { guardWork } from '#model/effects/mishaps.ts';
import { Roster } from '#model/effects/roster.ts';
import { sameIdentity } from '#model/identity/identity.ts';
import { AGENT } from '#model/settings/agents.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import { PeerSeries } from '#model/telemetry/peer-series.ts';
import { CredentialBook } from '#protocol/seam/credential-book.ts';
import { listed, type OpenConnection, reportDryRun, reportOf } from './connection/access-log.ts';
import { Answers } from './connection/answers.ts';
import type { DataContext, Served } from './connection/context.ts';
import { Places } from './connection/places.ts';
import type { Carrier, ControlSide, Listening } from './effects/agent-effects.ts';
import type { DataEffects, HboneServer } from './effects/data-effects.ts';
import { handlePlaintext, publishedAt, tunnelServers } from './inbound/inbound.ts';
import { handleOutbound } from './outbound/outbound.ts';
import { type ControlLink, refusalFrom, type ServedWorkload, type ToData } from './seam/messages.ts';

type Entry = { readonly served: Served; readonly listening: Listening[]; readonly server: HboneServer | null };

/**
 * Carries the connections of a node's workloads, or a part of them: accepts, tunnels, relays. What it has to know it asks, and
 * keeps what it was told until it is told otherwise, so that nothing it carries ever waits for whoever knows.
 */
export class DataPlane {
  readonly #effects: DataEffects;
  readonly #control: ControlLink;
  readonly #answers: Answers;
  readonly #entries = new Map<number, Entry>();
  readonly #context: DataContext;
  /** Connections that it carries. */
  readonly #open = new Set<OpenConnection>();
  readonly #serverOf: (served: Served) => HboneServer;

  constructor(effects: DataEffects, control: ControlLink, trustDomain: string) {
    const { clock, random, log, meters, shares } = effects;
    this.#effects = effects;
    this.#control = control;
    this.#answers = new Answers({ control, clock, random });
    const report = { clock, log, meters, peers: new PeerSeries(meters) };
    this.#context = {
      effects,
      answers: this.#answers,
      places: new Places(shares, report),
      served: (enrolment) => this.#entries.get(enrolment)?.served ?? null,
      report: (origin) => reportOf(origin, report, this.#open),
      dryRun: (decisions, source, path) => reportDryRun(report, decisions, source, path),
    };
    this.#serverOf = tunnelServers(() => this.#context, trustDomain);
  }

  /** Connections that it carries, or is about to. */
  get calls(): number {
    let sum = 0;
    for (const { served } of this.#entries.values()) sum += served.calls.size;
    return sum;
  }

  /** Connections to workloads of this node that it carries. */
  get carried(): number {
    return this.#answers.carried;
  }

  /** Connections between nodes that it has open. */
  get tunnels(): number {
    let sum = 0;
    for (const { served } of this.#entries.values()) sum += served.pool.size();
    return sum;
  }

  /** Does what it is told, before it returns. */
  receive(message: ToData): void {
    switch (message.kind) {
      case 'begin':
        this.#begin(message.served);
        return;
      case 'retire':
        this.#retire(message.enrolment);
        return;
      case 'end':
        this.#end(message.enrolment);
        return;
      case 'answer':
        this.#answers.answer(message);
        return;
      case 'drop':
        this.#answers.drop(message.answers);
        return;
      case 'revoke':
        this.#answers.revoke(message);
        return;
      case 'lapsed':
        for (const { served } of this.#entries.values())
          if (sameIdentity(served.identity, message.identity)) cutAll(served, refusalFrom(message.refusal));
        return;
      case 'revocations':
        this.#effects.revocations?.update(message.lists);
        return;
      case 'list':
        this.#control.send({ kind: 'listed', list: message.list, calls: listed(this.#open, AGENT.listedMax) });
        return;
      case 'finish':
        this.#finish(message.enrolment);
        return;
      case 'credentials':
        return; // those who asked for them hear of it: carryThere
      case 'mark':
        this.#control.send({ kind: 'marked', mark: message.mark });
        return;
      default:
        message satisfies never;
    }
  }

  #begin({ netnsFd, outboundFd, plaintextFd, hboneFd, published, ...workload }: ServedWorkload): void {
    const { places } = this.#context;
    const netns = this.#effects.openNamespace(netnsFd, workload.netnsCookie);
    const dial = (ip: IpAddress, port: number) => netns.dialPeer(ip, port, TUNNEL.handshakeTimeoutMs);
    const pool = this.#effects.createPool(dial);
    const served: Served = { ...workload, netns, pool, calls: new Roster() };
    const outbound = places.admitted<Served>('source', this.#guarded(handleOutbound));
    const plain = places.admitted<Served>('destination', this.#guarded(handlePlaintext));
    const listening = [
      netns.accept(outboundFd, (stream) => outbound(served, stream)),
      netns.accept(plaintextFd, (stream) => plain(served, stream)),
    ];
    for (const { fd, port } of published) {
      const arrive = places.admitted<Served>('destination', this.#guarded(publishedAt(port)));
      listening.push(netns.accept(fd, (stream) => arrive(served, stream)));
    }
    const server = hboneFd === null ? null : this.#serverOf(served);
    if (hboneFd !== null && server !== null) listening.push(netns.accept(hboneFd, (stream) => server.handle(stream)));
    this.#entries.set(served.enrolment, { served, listening, server });
  }

  /**
   * Says so when nothing of it is under way any more. Its connections end by themselves, as the kernel closes what a process
   * leaves open; and what a tunnel has taken may still wait in its connection, which has its end in the namespace that is
   * about to go.
   */
  #finish(enrolment: number): void {
    const entry = this.#entries.get(enrolment);
    let isClosing = false;
    const look = (): void => {
      if (entry !== undefined && this.#entries.get(enrolment) === entry) {
        const { calls, pool } = entry.served;
        if (!isClosing && calls.size === 0) {
          isClosing = true;
          pool.close(false);
        }
        if (!isClosing || pool.size() > 0) return void this.#effects.clock.after(AGENT.lastBytesLookMs, look);
      }
      this.#control.send({ kind: 'finished', enrolment });
    };
    look();
  }

  #guarded(handle: typeof handleOutbound): (served: Served, stream: ByteStream) => void {
    const { mishaps } = this.#effects;
    return (served, stream) => guardWork(mishaps, 'accept', handle(this.#context, served, stream), () => stream.reset());
  }

  /** Accepts nothing more, neither connections nor tunnels. */
  #retire(enrolment: number): void {
    const entry = this.#entries.get(enrolment);
    for (const listening of entry?.listening.splice(0) ?? []) listening.close();
    const drained = Promise.resolve(entry?.server?.drain(AGENT.handedOverMs));
    drained.catch((error: unknown) => this.#effects.mishaps.report('accept', error));
  }

  /** Its connections are cut, and told as such. */
  #end(enrolment: number): void {
    const entry = this.#entries.get(enrolment);
    if (entry === undefined) return;
    cutAll(entry.served, new Refusal('workload-left', 'the workload left the mesh'));
    this.#close(enrolment);
  }

  #close(enrolment: number): void {
    const entry = this.#entries.get(enrolment);
    if (entry === undefined) return;
    this.#entries.delete(enrolment);
    for (const listening of entry.listening) listening.close();
    entry.server?.close();
    entry.served.pool.close(true);
    entry.served.netns.close();
  }
}

function cutAll({ calls }: Served, why: Refusal): void {
  for (const { cut } of calls.all()) cut.abort(why);
}

/**
 * A data plane in a thread of its own, and what takes what it is told. `effectsOf` makes its effects with certificates that are
 * asked for through the seam, as everything else that it has to know.
 */
export function carryThere(
  effectsOf: (certificates: CredentialBook) => DataEffects,
  { link, clock, trustDomain }: { link: ControlLink; clock: Clock; trustDomain: string },
): { plane: DataPlane; receive(message: ToData): void } {
  const certificates = new CredentialBook(link, clock);
  const plane = new DataPlane(effectsOf(certificates), link, trustDomain);
  return {
    plane,
    receive(message) {
      if (message.kind === 'credentials') certificates.take(message);
      if (message.kind === 'lapsed') certificates.lapse(message.identity);
      plane.receive(message);
    },
  };
}

/** A data plane in the thread of whoever knows: what is sent is done when `send` returns. */
export function carryHere(effects: DataEffects, control: ControlSide): Carrier {
  const carrier: Carrier = {
    send: (message) => plane.receive(message),
    get calls() {
      return plane.calls;
    },
    get carried() {
      return plane.carried;
    },
    get tunnels() {
      return plane.tunnels;
    },
  };
  const plane = new DataPlane(effects, { send: (message) => control.receive(carrier, message) }, control.trustDomain);
  return carrier;
}
