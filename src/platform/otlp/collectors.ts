import { ChannelCredentials, Client, type ServiceError, status } from '@grpc/grpc-js';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import type { Span } from '#model/telemetry/trace.ts';
import { machineRoots } from '#platform/machine-roots.ts';
import { EXPORT_PATH, exportMessage, exportRequest, rejectedIn } from '#protocol/otlp/spans.ts';

/** Who tells of the spans. */
export type SpanSource = { readonly resource: Readonly<Record<string, string>>; readonly version: string };

/** What became of a batch. `again`: OTLP says that it may be sent once more. `why`: as the log tells it. */
export type Fate = { kind: 'taken'; rejected: number } | { kind: 'again'; why: string } | { kind: 'refused'; why: string };

/** A collector of OpenTelemetry. */
export type Collector = {
  /** Errors: those of the network, after which a batch may be sent again. */
  send(spans: readonly Span[]): Promise<Fate>;
};

/** Answers of HTTP after which OTLP says to try again. */
const BUSY = [429, 502, 503, 504];
/** Those of gRPC. */
const TRANSIENT: readonly number[] = [
  ...[status.CANCELLED, status.DEADLINE_EXCEEDED, status.RESOURCE_EXHAUSTED, status.ABORTED, status.OUT_OF_RANGE],
  ...[status.UNAVAILABLE, status.DATA_LOSS],
];

/** By the scheme of its URL: `grpc` and `grpcs` by gRPC, `http` and `https` by HTTP. */
export function collectorAt(endpoint: string, source: SpanSource): Collector {
  const url = new URL(endpoint);
  return url.protocol.startsWith('grpc') ? byGrpc(url, source) : byHttp(endpoint, source);
}

/** As OTEL_EXPORTER_OTLP_ENDPOINT has it: spans are posted to its `/v1/traces`. */
function byHttp(endpoint: string, { resource, version }: SpanSource): Collector {
  const place = new URL('v1/traces', endpoint.endsWith('/') ? endpoint : `${endpoint}/`);
  return {
    async send(spans) {
      const response = await fetch(place, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: exportRequest(spans, resource, version),
        redirect: 'error',
        signal: AbortSignal.timeout(TELEMETRY.spanExportMs),
      });
      await response.body?.cancel();
      const why = `it answers ${response.status}`;
      if (BUSY.includes(response.status)) return { kind: 'again', why };
      return response.status >= 200 && response.status < 300 ? { kind: 'taken', rejected: 0 } : { kind: 'refused', why };
    },
  };
}

/** Its certificate is judged by the authorities that the machine trusts: those of the mesh know no collector. */
function byGrpc({ protocol, host }: URL, { resource, version }: SpanSource): Collector {
  const credentials =
    protocol === 'grpc:'
      ? ChannelCredentials.createInsecure()
      : ChannelCredentials.createSsl(Buffer.from(machineRoots().join('\n')));
  // The log tells of what fails, and the next batch tries again: the library need not.
  const client = new Client(host, credentials, { 'grpc.enable_http_proxy': 0, 'grpc.service_config_disable_resolution': 1 });
  return {
    send: (spans) =>
      new Promise((resolve) => {
        const message = exportMessage(spans, resource, version);
        const options = { deadline: Date.now() + TELEMETRY.spanExportMs };
        const done = (error: ServiceError | null, answer?: Uint8Array): void => {
          if (error === null) resolve({ kind: 'taken', rejected: rejectedIn(answer ?? new Uint8Array()) });
          else
            resolve({
              kind: TRANSIENT.includes(error.code) ? 'again' : 'refused',
              why: `grpc-status ${error.code}: ${error.details}`,
            });
        };
        client.makeUnaryRequest(
          EXPORT_PATH,
          (bytes: Uint8Array) => Buffer.from(bytes),
          (bytes: Buffer) => bytes,
          message,
          options,
          done,
        );
      }),
  };
}
