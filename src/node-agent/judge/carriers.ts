import type { Credentials, Identity } from '#model/identity/identity.ts';
import type { Touched } from '#model/mesh/mesh-state.ts';
import { type ProcessShares, ShareNumbers } from '#model/share/process-shares.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { AgentEffects, Carrier, ControlSide, Listening } from '#node-agent/effects/agent-effects.ts';
import type { Enrolled } from '#node-agent/enrollment/enrollment.ts';
import { type DataLink, type OpenCall, refusalData, type ToControl } from '#node-agent/seam/messages.ts';
import type { RevocationList } from '#protocol/identity/revocation.ts';
import { DataLinks } from '#protocol/seam/data-links.ts';
import { CarriedConnections } from './carried-connections.ts';
import { Judge, type JudgeOptions } from './judge.ts';

/** What those that carry are told from, and what they share. */
export type CarriersOptions = Omit<JudgeOptions, 'carried' | 'isOfKubelet'> &
  Pick<ControlSide, 'meters' | 'trustDomain'> & {
    places: ProcessShares;
    /** Valid credentials of an identity, fetched when first needed. */
    credentials(identity: Identity): Promise<Credentials>;
  };

/** Those that carry the connections of a node, from the side of whoever knows: hands them workloads, answers, and takes back. */
export class Carriers {
  readonly #rights: CarriedConnections;
  readonly #judge: Judge;
  readonly #carriers: readonly Carrier[];
  readonly #shares: ShareNumbers;
  /** Enrolments whose last bytes are under way, with those that still carry some. */
  readonly #finishing = new Map<number, Set<DataLink>>();
  readonly #links: DataLinks;
  readonly #credentials: CarriersOptions['credentials'];
  /** Lists that are waited for, by their numbers. */
  readonly #lists = new Map<number, { left: number; calls: OpenCall[]; resolve(calls: readonly OpenCall[]): void }>();
  #lastList = 0;

  constructor(
    effects: Pick<AgentEffects, 'startCarriers' | 'clock' | 'isOfKubelet'>,
    { meters, trustDomain, places, credentials, ...options }: CarriersOptions,
  ) {
    this.#rights = new CarriedConnections(effects.clock);
    const isOfKubelet = effects.isOfKubelet.bind(effects);
    this.#judge = new Judge({ ...options, isOfKubelet, carried: this.#rights });
    this.#shares = new ShareNumbers(places);
    this.#carriers = effects.startCarriers({
      meters,
      shares: places,
      trustDomain,
      receive: (from, message) => this.#receive(from, message),
    });
    this.#links = new DataLinks(this.#carriers, credentials);
    this.#credentials = credentials;
    meters.fetchFirst(() => this.settled());
  }

  /** Connections that they carry, or are about to. */
  get calls(): number {
    return this.#carriers.reduce((sum, { calls }) => sum + calls, 0);
  }

  /** Connections to workloads of this node that pass through them. */
  get carried(): number {
    return this.#carriers.reduce((sum, { carried }) => sum + carried, 0);
  }

  /** Connections between nodes that they have open. */
  get tunnels(): number {
    return this.#carriers.reduce((sum, { tunnels }) => sum + tunnels, 0);
  }

  /** The authority gives certificates for known workloads only, so the first is fetched as soon as one is known. */
  warm(enrolled: Enrolled | null): void {
    if (enrolled !== null) this.#credentials(enrolled.identity).catch(() => {}); // retried and shown by the cache
  }

  /** Hands a workload to them; the end of that cuts its connections. Errors: those of its namespace. */
  carry({ id, request, identity, netns, addresses }: Enrolled): Listening {
    const { uid, name, namespace, nativeTunnel, published = [] } = request;
    const sockets = netns.openCarried(id, { takesTunnels: !nativeTunnel, published }, this.#carriers.length);
    const share = this.#shares.take();
    const probed = request.pod?.probed ?? [];
    const served = { enrolment: id, uid, name, namespace, identity, netnsCookie: netns.netnsCookie, share, addresses, probed };
    sockets.forEach((own, at) => void this.#carriers[at]?.send({ kind: 'begin', served: { ...served, ...own } }));
    return {
      close: () => {
        for (const carrier of this.#carriers) carrier.send({ kind: 'end', enrolment: id });
        this.#shares.give(share);
      },
    };
  }

  /** They accept no more connections of a workload; those that they carry go on. */
  retire({ id }: Pick<Enrolled, 'id'>): void {
    for (const carrier of this.#carriers) carrier.send({ kind: 'retire', enrolment: id });
  }

  /** Asks them to say when they have nothing of a workload any more; the result is whether all of them have said so. */
  finish({ id }: Pick<Enrolled, 'id'>): () => boolean {
    const left = new Set<DataLink>(this.#carriers);
    this.#finishing.set(id, left);
    for (const carrier of this.#carriers) carrier.send({ kind: 'finish', enrolment: id });
    return () => {
      if (left.size === 0) this.#finishing.delete(id);
      return left.size === 0;
    };
  }

  /**
   * The certificate of an identity ended and there is no new one: nobody can be sure of it any more, so what is carried to the
   * workloads that are enrolled as it is cut, and what they opened.
   */
  lapsed(identity: Identity): void {
    const why = new Refusal('certificate-expired', 'the certificate of the workload expired and was not renewed');
    for (const carrier of this.#carriers) carrier.send({ kind: 'lapsed', identity, refusal: refusalData(why) });
  }

  /** Certificates that are revoked from here on: connections of who shows one are cut, at both ends. */
  revoked(lists: readonly RevocationList[]): void {
    for (const carrier of this.#carriers) carrier.send({ kind: 'revocations', lists });
  }

  /** A certificate came in the place of another. */
  renewed(credentials: Credentials): void {
    this.#links.renewed(credentials);
  }

  /** Connections that they carry now, the first thousand of each. */
  listed(): Promise<readonly OpenCall[]> {
    const list = ++this.#lastList;
    const { promise, resolve } = Promise.withResolvers<readonly OpenCall[]>();
    this.#lists.set(list, { left: this.#carriers.length, calls: [], resolve });
    for (const carrier of this.#carriers) carrier.send({ kind: 'list', list });
    return promise;
  }

  /** Resolves when all of them have done everything that they were told until now. */
  settled(): Promise<void> {
    return this.#links.settled();
  }

  /** A change: no new connection goes by an answer that it touches; null: by none that was given before. */
  drop(touched: Touched | null): void {
    this.#judge.drop(touched);
  }

  /** Cuts what is carried and has no right to be any more; the arguments are those of CarriedConnections. */
  closeDenied(...by: Parameters<CarriedConnections['closeDenied']>): void {
    this.#rights.closeDenied(...by);
  }

  #receive(from: DataLink, message: ToControl): void {
    switch (message.kind) {
      case 'ask':
        this.#judge.ask(from, message);
        return;
      case 'release':
        this.#judge.release(from, message.answers);
        return;
      case 'listed': {
        const list = this.#lists.get(message.list);
        list?.calls.push(...message.calls);
        if (list === undefined || --list.left > 0) return;
        this.#lists.delete(message.list);
        list.resolve(list.calls);
        return;
      }
      case 'finished':
        this.#finishing.get(message.enrolment)?.delete(from);
        return;
      case 'credentials':
      case 'marked':
        this.#links.receive(from, message);
        return;
      default:
        message satisfies never;
    }
  }
}
