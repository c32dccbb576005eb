import type { Client, ServiceError } from '@grpc/grpc-js';
import { CONTROL } from '#model/settings/control-planes.ts';
import { type ControlEndpoint, callMetadata, openClient } from '#platform/grpc/control-channel.ts';
import type { Codec } from '#platform/grpc/service-definitions.ts';
import { callError } from '#platform/grpc/status-codes.ts';

/** Single calls to the control plane over a connection that is kept, and made anew when its roots change. */
export class UnaryCaller {
  readonly #endpoint: ControlEndpoint;
  #open: { client: Promise<Client>; rootsPem: string } | null = null;

  constructor(endpoint: ControlEndpoint) {
    this.#endpoint = endpoint;
  }

  /** Errors: WEFT_CONTROL_PLANE with the status, WEFT_CONTROL_* when the call could not be made. */
  async call<Request, Response>(
    method: { path: string; request: Codec<Request>; response: Codec<Response> },
    request: Request,
  ): Promise<Response> {
    const metadata = await callMetadata(this.#endpoint);
    const client = await this.#client();
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: Response) => {
        if (error === null && response !== undefined) resolve(response);
        else reject(callError(this.#endpoint.address, error ?? { code: 13, details: 'no response' }));
      };
      const deadline = Date.now() + CONTROL.callMsMax;
      client.makeUnaryRequest(method.path, method.request.write, method.response.read, request, metadata, { deadline }, done);
    });
  }

  close(): void {
    const { client } = this.#open ?? {};
    this.#open = null;
    client?.then(
      (open) => open.close(),
      () => {}, // it never was: told to whoever called
    );
  }

  async #client(): Promise<Client> {
    const rootsPem = await this.#endpoint.rootsPem();
    if (this.#open?.rootsPem !== rootsPem) {
      this.close();
      // Noted before it is there: of two calls at once each would make a client, and close that of the other under its call.
      this.#open = { client: openClient({ ...this.#endpoint, rootsPem: async () => rootsPem }), rootsPem };
    }
    const opening = this.#open;
    try {
      return await opening.client;
    } catch (error) {
      if (this.#open === opening) this.#open = null; // the next call tries again
      throw error;
    }
  }
}
