import type { Client, ServiceError } from '@grpc/grpc-js';
import { CONTROL } from '#model/settings/control-planes.ts';
import { type ControlEndpoint, callMetadata, openClient } from '#platform/grpc/control-channel.ts';
import type { Codec } from '#platform/grpc/service-definitions.ts';
import { callError } from '#platform/grpc/status-codes.ts';

/** Single calls to the control plane over a connection that is kept, and made anew when its roots change. */
export class UnaryCaller {
  readonly #endpoint: ControlEndpoint;
  #open: { client: Client; rootsPem: string } | null = null;

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
    this.#open?.client.close();
    this.#open = null;
  }

  async #client(): Promise<Client> {
    const rootsPem = await this.#endpoint.rootsPem();
    if (this.#open !== null && this.#open.rootsPem === rootsPem) return this.#open.client;
    const client = await openClient({ ...this.#endpoint, rootsPem: async () => rootsPem });
    this.close();
    this.#open = { client, rootsPem };
    return client;
  }
}
