import { type Caller, checkNode } from '#control-plane/authentication/authenticator.ts';
import type { ResourceStore } from '#control-plane/discovery/resource-store.ts';
import type { Turns } from '#control-plane/discovery/turns.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { CONTROL } from '#model/settings/control-planes.ts';
import type { DeltaDiscoveryRequest } from '#proto/discovery_pb.js';
import type { ConnectionStatus } from '#protocol/api/control.ts';
import { type DeltaResponse, encodeResponse } from '#protocol/xds/encode-response.ts';
import { asRpcError, RpcError } from '#protocol/xds/resource-fault.ts';
import { DeltaServerSession, type DiscoveryListener, type DiscoveryStream, type Received } from '#protocol/xds/server-session.ts';

/** One client, and what it is served from. */
export type ConnectionOptions = {
  caller: Caller;
  stream: DiscoveryStream;
  store: ResourceStore;
  clock: Clock;
  log: Log;
  newNonce: () => string;
  /** Shared by all clients. */
  turns: Turns<DiscoveryConnection>;
  /** Called when the stream is over. */
  onClosed: () => void;
};

/** One client's stream: a session, and the pace at which the client takes what the session has to say. */
export class DiscoveryConnection implements DiscoveryListener {
  readonly #options: ConnectionOptions;
  readonly #session: DeltaServerSession;
  readonly #connectedMs: number;
  #log: Log;
  #id = '';
  /** The client has not taken the last response yet. */
  #blocked = false;
  #over = false;
  #cancelStalled: Cancel = () => {};

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#session = new DeltaServerSession({ view: options.store, newNonce: options.newNonce });
    this.#connectedMs = options.clock.nowMs();
    this.#log = options.log.child({
      caller: `${options.caller.namespace}/${options.caller.serviceAccount}`,
      peer: options.stream.peer,
    });
  }

  get caller(): Caller {
    return this.#options.caller;
  }

  receive(request: DeltaDiscoveryRequest): void {
    if (this.#over) return;
    try {
      if (this.#id === '') this.#introduce(request);
      this.#note(this.#session.receive(request));
    } catch (error) {
      this.end(asRpcError(error));
      return;
    }
    // A client opens its types one after the other. Answering in a turn of its own lets policies go first (C16).
    this.#wantTurn();
  }

  drained(): void {
    // It took the last response: whatever it still waits for may follow.
    this.#blocked = false;
    this.#cancelStalled();
    this.#wantTurn();
  }

  closed(): void {
    this.#finish();
    this.#options.onClosed();
    this.#log.info({ id: this.#id }, 'discovery client gone');
  }

  /** Ends the stream from our side. */
  end(error: RpcError): void {
    if (this.#over) return;
    this.#finish();
    this.#log.info({ id: this.#id, err: error }, 'discovery stream ended');
    this.#options.stream.end(error);
  }

  status(): ConnectionStatus {
    const { caller, stream } = this.#options;
    const types = this.#session.status();
    return {
      id: this.#id,
      node: caller.node ?? '',
      namespace: caller.namespace,
      serviceAccount: caller.serviceAccount,
      peer: stream.peer,
      connectedAt: new Date(this.#connectedMs).toISOString(),
      types,
      // A client that follows nothing has everything.
      upToDate: types.every(({ pending, acknowledged, problem }) => pending === 0 && acknowledged && problem === null),
    };
  }

  /** Only the first request names the sender (its node); later ones need not repeat it. */
  #introduce({ node }: DeltaDiscoveryRequest): void {
    checkNode(this.#options.caller, node === undefined ? undefined : { id: node.id, metadata: node.metadata ?? {} });
    this.#id = node?.id ?? '';
    this.#log.info({ id: this.#id, node: this.#options.caller.node }, 'discovery client connected');
  }

  #note(received: Received): void {
    if (received.kind === 'rejected') this.#log.warn({ ...received, id: this.#id }, 'client rejected resources');
    else if (received.kind !== 'acked') this.#log.debug({ ...received, id: this.#id }, 'discovery request');
  }

  /** Sends the next response, if there is one; until the client has taken it, changes gather in the store's log. */
  takeTurn(): void {
    if (this.#blocked || this.#over) return;
    const response = this.#session.next();
    if (response === null) return;
    if (response !== 'later') this.#send(response);
    if (!this.#blocked) this.#wantTurn();
  }

  #wantTurn(): void {
    if (!this.#blocked && !this.#over) this.#options.turns.want(this);
  }

  #send(response: DeltaResponse): void {
    this.#blocked = !this.#options.stream.send(encodeResponse(response));
    const { typeUrl, nonce, resources, removed } = response;
    this.#log.debug({ id: this.#id, type_url: typeUrl, nonce, resources: resources.length, removed: removed.length }, 'sent');
    if (this.#blocked) this.#watchForStall();
  }

  #watchForStall(): void {
    this.#cancelStalled();
    this.#cancelStalled = this.#options.clock.after(CONTROL.stalledMsMax, () =>
      this.end(new RpcError('unavailable', `nothing was taken from the stream for ${CONTROL.stalledMsMax / 1_000} s`)),
    );
  }

  /** Nothing is sent or waited for any more; the transport may still tell of its end. */
  #finish(): void {
    this.#over = true;
    this.#cancelStalled();
    this.#options.turns.leave(this);
    this.#session.close();
  }
}
