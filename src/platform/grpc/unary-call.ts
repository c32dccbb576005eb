import { type Client, type ServiceError, status } from '@grpc/grpc-js';
import { CONTROL } from '#model/settings/control-planes.ts';
import { type ControlEndpoint, callMetadata, openClient } from '#platform/grpc/control-channel.ts';
import { ControlTargets } from '#platform/grpc/control-targets.ts';
import type { Codec } from '#platform/grpc/service-definitions.ts';
import { callError } from '#platform/grpc/status-codes.ts';

type Method<Request, Response> = { path: string; request: Codec<Request>; response: Codec<Response> };

/** What another control plane may answer better: this one cannot be reached, takes too long, or does not lead. */
const ELSEWHERE: ReadonlySet<number> = new Set([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]);

/**
 * Single calls to the control plane over a connection that is kept, and made anew when its roots change. Where there are several, one after the other
 * is asked until one answers: what is asked may be done twice, and must come to the same.
 */
export class UnaryCaller {
  readonly #endpoint: ControlEndpoint;
  readonly #targets: ControlTargets;
  readonly #elsewhere: ReadonlySet<number>;
  /** By address: a call that goes on is not to end because the next one asks another control plane. */
  readonly #open = new Map<string, { client: Promise<Client>; rootsPem: string }>();

  /** `elsewhere`: further answers for which another control plane is asked. */
  constructor(endpoint: ControlEndpoint, elsewhere: readonly status[] = []) {
    this.#endpoint = endpoint;
    this.#targets = new ControlTargets(endpoint.address);
    this.#elsewhere = new Set([...ELSEWHERE, ...elsewhere]);
  }

  /** Errors: WEFT_CONTROL_PLANE with the status, WEFT_CONTROL_* when the call could not be made. */
  async call<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
    let error: ServiceError | null = null;
    let address = '';
    for (let left = this.#targets.count; left > 0; left--) {
      address = this.#targets.current;
      const outcome = await this.#ask(address, method, request);
      if ('response' in outcome) return outcome.response;
      // Who leads is told by the one that was reached: that says more than that another one was not.
      if (error === null || outcome.error.details.includes('lead')) error = outcome.error;
      if (!this.#elsewhere.has(outcome.error.code)) break;
      this.#targets.leave(address);
    }
    throw callError(address, error ?? { code: status.INTERNAL, details: 'no response' });
  }

  close(): void {
    for (const address of this.#open.keys()) this.#close(address);
  }

  #close(address: string): void {
    const open = this.#open.get(address);
    this.#open.delete(address);
    open?.client.then(
      (client) => client.close(),
      () => {}, // it never was: told to whoever called
    );
  }

  async #ask<Request, Response>(
    address: string,
    { path, request, response }: Method<Request, Response>,
    message: Request,
  ): Promise<{ response: Response } | { error: ServiceError }> {
    const metadata = await callMetadata(this.#endpoint);
    const client = await this.#client(address);
    // Of several, one that is silent must not use up the patience of who waits.
    const deadline = Date.now() + (this.#targets.count > 1 ? CONTROL.tryMsMax : CONTROL.callMsMax);
    return new Promise((resolve) => {
      client.makeUnaryRequest(path, request.write, response.read, message, metadata, { deadline }, (error, answer) => {
        if (error === null && answer !== undefined) resolve({ response: answer });
        else resolve({ error: error ?? Object.assign(new Error('no response'), NO_RESPONSE) });
      });
    });
  }

  async #client(address: string): Promise<Client> {
    const rootsPem = await this.#endpoint.rootsPem();
    let opening = this.#open.get(address);
    if (opening?.rootsPem !== rootsPem) {
      this.#close(address);
      // Noted before it is there: of two calls at once each would make a client, and close that of the other under its call.
      opening = { client: openClient({ ...this.#endpoint, rootsPem: async () => rootsPem }, address), rootsPem };
      this.#open.set(address, opening);
    }
    try {
      return await opening.client;
    } catch (error) {
      if (this.#open.get(address) === opening) this.#open.delete(address); // the next call tries again
      throw error;
    }
  }
}

const NO_RESPONSE = { code: status.INTERNAL, details: 'no response', metadata: null as never };
