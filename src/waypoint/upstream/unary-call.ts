import type { ServiceKey } from '#model/mesh/service.ts';
import { writeGrpcTimeout } from '#protocol/grpc/timeout.ts';
import { CALL_HEADERS, callStatus, framed, onlyMessage } from '#protocol/grpc/unary.ts';
import { type CallOutcome, type CallParts, callService } from '#waypoint/upstream/service-call.ts';

/** A call of gRPC with one message each way. */
export type UnaryCall = {
  readonly service: ServiceKey;
  readonly port: number;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly message: Uint8Array;
  /** Milliseconds; null: any time. */
  readonly timeoutMs: number | null;
  readonly answerBytesMax: number;
};

/** The message that came back, or why there is none. */
export type UnaryOutcome =
  | { readonly kind: 'message'; readonly message: Buffer }
  | { readonly kind: 'failed'; readonly why: string };

/** A call under way. */
export type OpenUnaryCall = { readonly outcome: Promise<UnaryOutcome>; abort(): void };

/** Calls a method of a service of the mesh; the outcome never rejects. The server is told how long the answer is waited for. */
export function callUnary(
  { service, port, path, message, timeoutMs, answerBytesMax }: UnaryCall,
  parts: CallParts,
): OpenUnaryCall {
  const authority = `${service.slice(service.indexOf('/') + 1)}:${port}`;
  const deadline = timeoutMs === null ? [] : ['grpc-timeout', writeGrpcTimeout(timeoutMs)];
  const { outcome, abort } = callService(
    {
      ...{ service, port, authority, timeoutMs, answerBytesMax, method: 'POST', target: path, version: 'http2' },
      headers: [...CALL_HEADERS, ...deadline],
      body: framed(message),
    },
    parts,
  );
  return { outcome: outcome.then(messageOf), abort };
}

function messageOf(outcome: CallOutcome): UnaryOutcome {
  if (outcome.kind === 'failed') return outcome;
  const { status, headers, body, trailers } = outcome;
  if (status !== 200) return { kind: 'failed', why: `it answered HTTP ${status}, and not gRPC` };
  const { code, message: said } = callStatus(headers, trailers);
  if (code !== 0) return { kind: 'failed', why: `grpc-status ${code}${said === '' ? '' : `: ${said}`}` };
  const message = onlyMessage(body);
  return message === null ? { kind: 'failed', why: 'its answer is not one message' } : { kind: 'message', message };
}
