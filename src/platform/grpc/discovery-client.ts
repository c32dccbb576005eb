import type { Client, ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { Retry } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import { type ControlEndpoint, callMetadata, openClient } from '#platform/grpc/control-channel.ts';
import { ControlTargets } from '#platform/grpc/control-targets.ts';
import { DELTA_STREAM } from '#platform/grpc/service-definitions.ts';
import { callError, codeName } from '#platform/grpc/status-codes.ts';
import { systemRandom } from '#platform/random.ts';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '#proto/discovery_pb.js';
import {
  type Answers,
  type ClientNode,
  type ClientSubscription,
  DeltaClientSession,
  deltaOf,
} from '#protocol/xds/client-session.ts';
import { reconnectWait, type StreamEnd } from '#protocol/xds/stream-end.ts';
import type { NameChanges } from '#protocol/xds/subscription.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, WAYPOINT_CONFIG_TYPE } from '#protocol/xds/type-urls.ts';

/** How a client stands with the control plane. */
export type DiscoveryStatus = {
  connected: boolean;
  /** When the last response was applied since every type has had its first; null: not synced yet. */
  syncedAtMs: number | null;
  /** Why there is no stream; null while there is one. */
  error: string | null;
  /** Resources of the last response that could not be used. */
  rejected: readonly string[];
  /** Streams that ended, by ztunnel's word for how. */
  terminations: Readonly<Record<Termination, number>>;
};

/** How a stream came to its end: it never opened, it broke, or the control plane ended it. */
export type Termination = 'ConnectionError' | 'Error' | 'Complete';

const TERMINATIONS: Readonly<Record<StreamEnd['kind'], Termination>> = {
  'not-established': 'ConnectionError',
  broken: 'Error',
  clean: 'Complete',
};

/** Whom a client follows, as whom, and who hears of it. */
export type DiscoveryClientOptions = {
  endpoint: ControlEndpoint;
  node: ClientNode;
  /** `<namespace>/<gateway>` for a waypoint that wants its configuration; null for agents. */
  waypoint: string | null;
  /** Of workloads and services only what `change` asks for, and what the control plane tells besides. */
  onDemand?: boolean;
  clock: Clock;
  log: Log;
  mishaps: Mishaps;
  /**
   * Called once per response, with what it answers of the names that were asked for; it is acknowledged when this returns, or when
   * its promise resolves. What it throws refuses it.
   */
  onMesh: (delta: MeshDelta, answers: Answers) => void | Promise<void>;
  /** null: there is no such Gateway, or no longer. As with `onMesh`, the response is acknowledged when its promise resolves. */
  onWaypointConfig?: (config: WaypointConfig | null) => void | Promise<void>;
  /** Called when a stream has had its first answer: the time to report what the control plane may have forgotten. */
  onConnected?: () => void;
};

type Stream = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** One stream, from dialling to its end. */
type Attempt = {
  /** Of the control plane that is asked. */
  address: string;
  stream: Stream | null;
  client: Client | null;
  answered: boolean;
  /** Resolves when all responses are acknowledged; null: they are. */
  acknowledged: Promise<void> | null;
};

/**
 * Follows the mesh over one delta stream, for as long as it is not stopped: reconnects with backoff, and keeps what it
 * knows meanwhile. `synced` resolves when the first response of every type is applied.
 */
export class DiscoveryClient {
  readonly synced: Promise<void>;
  readonly #options: DiscoveryClientOptions;
  readonly #session: DeltaClientSession;
  readonly #resolveSynced: () => void;
  #attempt: Attempt | null = null;
  #stopped = false;
  readonly #targets: ControlTargets;
  readonly #retry: Retry;
  #status: DiscoveryStatus = {
    connected: false,
    syncedAtMs: null,
    error: null,
    rejected: [],
    terminations: { ConnectionError: 0, Error: 0, Complete: 0 },
  };

  constructor(options: DiscoveryClientOptions) {
    this.#options = options;
    this.#targets = new ControlTargets(options.endpoint.address);
    this.#session = new DeltaClientSession(options.node, subscriptionsOf(options));
    const backoff = { firstMs: CONTROL.backoffFirstMs, maxMs: CONTROL.backoffMaxMs };
    this.#retry = new Retry({ clock: options.clock, random: systemRandom }, backoff, () => this.#begin());
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#resolveSynced = resolve;
  }

  /** Opens the first stream. Failures are tried again and shown in `status`, never thrown. */
  start(): void {
    if (this.#attempt === null && !this.#stopped) this.#begin();
  }

  /** Ends the stream for good. */
  stop(): void {
    this.#stopped = true;
    this.#retry.close();
    this.#attempt?.stream?.cancel();
    this.#attempt?.client?.close();
    this.#attempt = null;
    this.#status = { ...this.#status, connected: false };
  }

  status(): DiscoveryStatus {
    return this.#status;
  }

  /** On demand: asks for names from now on, or for some no longer. Without a stream the next one begins with them. */
  change(names: NameChanges): void {
    const request = this.#session.change(names);
    this.#attempt?.stream?.write(request);
  }

  #begin(): void {
    this.#connect().catch((error: unknown) => this.#options.mishaps.report('discovery', error));
  }

  async #connect(): Promise<void> {
    const attempt: Attempt = { address: this.#targets.current, stream: null, client: null, answered: false, acknowledged: null };
    this.#attempt = attempt;
    try {
      const metadata = await callMetadata(this.#options.endpoint);
      const client = await openClient(this.#options.endpoint, attempt.address);
      if (this.#stopped) return client.close();
      const { path, request, response } = DELTA_STREAM;
      attempt.client = client;
      attempt.stream = client.makeBidiStreamRequest(path, request.write, response.read, metadata);
      this.#listen(attempt, attempt.stream);
      for (const first of this.#session.open()) attempt.stream.write(first);
    } catch (error) {
      this.#ended(attempt, { kind: 'not-established' }, error instanceof Error ? error.message : String(error));
    }
  }

  #listen(attempt: Attempt, stream: Stream): void {
    const within = (ms: number) => this.#options.clock.after(ms, () => stream.cancel());
    let cancelTimer = within(CONTROL.establishMsMax);
    stream.on('data', (response: DeltaDiscoveryResponse) => {
      cancelTimer();
      if (this.#attempt === attempt) this.#apply(attempt, stream, response);
      // However long all of it takes: each part within its own time.
      if (!this.#session.synced) cancelTimer = within(CONTROL.progressMsMax);
    });
    // Every end is told by `status`; without a listener the same failure would crash the process.
    stream.on('error', () => {});
    stream.on('status', ({ code, details }: StatusObject) => {
      cancelTimer();
      const end: StreamEnd = code === 0 ? { kind: 'clean' } : { kind: 'broken', code: codeName(code), details };
      const { address } = attempt;
      const why = code === 0 ? `the control plane at ${address} ended the stream` : callError(address, { code, details }).message;
      this.#ended(attempt, attempt.answered ? end : { kind: 'not-established' }, why);
    });
  }

  /**
   * What could not be put in force is neither acknowledged nor forgotten: the stream ends, and the next one is told all of
   * it again, later and later while that does not help. Meanwhile what was in force before stays.
   */
  #apply(attempt: Attempt, stream: Stream, response: DeltaDiscoveryResponse): void {
    try {
      this.#receive(attempt, stream, response);
    } catch (error) {
      this.#notInForce(attempt, stream, response.typeUrl, error);
    }
  }

  #notInForce(attempt: Attempt, stream: Stream, typeUrl: string, error: unknown): void {
    this.#options.mishaps.report('discovery', error, { type_url: typeUrl });
    if (this.#attempt !== attempt || this.#stopped) return;
    this.#session.distrust();
    stream.cancel();
    this.#ended(attempt, { kind: 'not-established' }, 'a change of the mesh could not be put in force');
  }

  #receive(attempt: Attempt, stream: Stream, response: DeltaDiscoveryResponse): void {
    const { log, onMesh, onConnected, clock } = this.#options;
    const update = this.#session.receive(response);
    if (update.misread) {
      // Another control plane took the place of the one before, and reads no digests.
      stream.cancel();
      this.#ended(attempt, { kind: 'clean' }, `the control plane at ${attempt.address} is another one`);
      return;
    }
    const { mesh, waypoints } = deltaOf(update);
    const isChange = mesh.workloads.size + mesh.services.size + mesh.policies.size + update.answers.size > 0;
    const meshInForce = isChange ? onMesh(mesh, update.answers) : undefined;
    const inForce = this.#tellWaypoint(waypoints, response.removedResources) ?? meshInForce;
    if (update.rejected.length > 0) log.warn({ rejected: update.rejected }, 'resources of the control plane are left out');
    const failed = (error: unknown): void => this.#notInForce(attempt, stream, response.typeUrl, error);
    this.#acknowledge(attempt, inForce, { write: () => stream.write(update.reply), failed });
    this.#status = { ...this.#status, connected: true, error: null, rejected: update.rejected };
    if (!attempt.answered) {
      attempt.answered = true;
      log.info({ control: attempt.address }, 'connected to the control plane');
      onConnected?.();
    }
    if (this.#session.synced) {
      this.#retry.succeeded();
      this.#status = { ...this.#status, syncedAtMs: clock.nowMs() };
      this.#resolveSynced();
    }
  }

  /** In the order of the responses, each when it is in force: whoever is told that a policy is in force may rely on it. */
  #acknowledge(
    attempt: Attempt,
    inForce: void | Promise<void>,
    { write, failed }: { write: () => void; failed: (error: unknown) => void },
  ): void {
    if (inForce === undefined && attempt.acknowledged === null) {
      write();
      return;
    }
    const before = attempt.acknowledged ?? Promise.resolve();
    const acknowledged = before
      .then(() => inForce)
      .then(() => {
        if (this.#attempt === attempt) write();
        if (attempt.acknowledged === acknowledged) attempt.acknowledged = null;
      });
    attempt.acknowledged = acknowledged;
    acknowledged.catch(failed);
  }

  #tellWaypoint(waypoints: ReadonlyMap<string, WaypointConfig | null>, removed: readonly string[]): void | Promise<void> {
    const { waypoint, onWaypointConfig } = this.#options;
    if (waypoint === null) return;
    const config = waypoints.get(waypoint);
    // A Gateway that never was is reported as removed, too.
    if (config !== undefined || removed.includes(waypoint)) return onWaypointConfig?.(config ?? null);
  }

  #ended(attempt: Attempt, end: StreamEnd, error: string): void {
    attempt.client?.close();
    if (this.#attempt !== attempt || this.#stopped) return;
    const delayMs = this.#again(end, attempt.address);
    if (this.#status.connected || this.#status.error !== error) {
      this.#options.log.warn({ error, retry_in_ms: delayMs }, 'not connected to the control plane');
    }
    const how = TERMINATIONS[end.kind];
    const terminations = { ...this.#status.terminations, [how]: this.#status.terminations[how] + 1 };
    this.#status = { ...this.#status, connected: false, error, terminations };
  }

  #again(end: StreamEnd, from: string): number {
    const wait = reconnectWait(end);
    if (wait !== 'growing') this.#retry.succeeded();
    this.#targets.leave(from);
    // Whoever followed the same control plane goes to another one now: not all in the same moment.
    if (this.#targets.count > 1 && end.kind !== 'not-established')
      return this.#retry.after(Math.round(systemRandom() * CONTROL.failoverMsMax));
    return wait === 'none' ? this.#retry.after(0) : this.#retry.failed();
  }
}

/** Policies first, so that no workload refers to one that is not there yet. */
function subscriptionsOf({ waypoint, onDemand = false }: DiscoveryClientOptions): ClientSubscription[] {
  return [
    { typeUrl: AUTHORIZATION_TYPE, names: [] },
    ...(waypoint === null ? [] : [{ typeUrl: WAYPOINT_CONFIG_TYPE, names: [waypoint] } as const]),
    { typeUrl: ADDRESS_TYPE, names: onDemand ? 'on-demand' : [] },
  ];
}
