import type { OutlierDetection } from '#model/waypoint/destination-settings.ts';

/** What a try says of its endpoint: the status of an answer, or that none came for a reason that lies between here and there. */
export type Observation =
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'local'; readonly status: 503 | 504 };

/** What an endpoint failed in; also the values of the label. */
export type OutlierDetector =
  | 'consecutive_5xx'
  | 'consecutive_gateway_failure'
  | 'consecutive_local_origin_failure'
  | 'success_rate';

/** What is remembered of one endpoint. */
export type EndpointHistory = {
  in5xxRow: number;
  inGatewayRow: number;
  inLocalRow: number;
  /** How often it was ejected of late: one is taken off for each interval without. */
  ejections: number;
  /** Milliseconds of the clock from which it may come back; null: it is not ejected. */
  ejectedUntilMs: number | null;
};

/** Nothing bad is known of it. */
export function newHistory(): EndpointHistory {
  return { in5xxRow: 0, inGatewayRow: 0, inLocalRow: 0, ejections: 0, ejectedUntilMs: null };
}

/** Counts an observation; says why the endpoint is to be ejected, or null. What was reached begins anew (W55). */
export function observe(history: EndpointHistory, seen: Observation, policy: OutlierDetection): OutlierDetector | null {
  const { consecutiveLocalFailures: localMax } = policy;
  if (localMax !== null) {
    // What a peer answers says that it was reached, and what never reached it says nothing of its answers.
    history.inLocalRow = seen.kind === 'local' ? history.inLocalRow + 1 : 0;
    if (seen.kind === 'local') {
      if (localMax === 0 || history.inLocalRow < localMax) return null;
      history.inLocalRow = 0;
      return 'consecutive_local_origin_failure';
    }
  }
  const { status } = seen;
  history.inGatewayRow = status >= 502 && status <= 504 ? history.inGatewayRow + 1 : 0;
  history.in5xxRow = status >= 500 && status <= 599 ? history.in5xxRow + 1 : 0;
  const { consecutiveGatewayErrors: gatewayMax, consecutive5xx: max } = policy;
  if (gatewayMax > 0 && history.inGatewayRow >= gatewayMax) {
    history.inGatewayRow = 0;
    return 'consecutive_gateway_failure';
  }
  if (max > 0 && history.in5xxRow >= max) {
    history.in5xxRow = 0;
    return 'consecutive_5xx';
  }
  return null;
}

/** Ejects an endpoint, unless it is already, or as many are as may be (W56). Each time takes longer, up to the longest. */
export function eject(
  history: EndpointHistory,
  policy: OutlierDetection,
  { ejected, endpoints, nowMs }: { ejected: number; endpoints: number; nowMs: number },
): 'ejected' | 'already' | 'too-many' {
  if (history.ejectedUntilMs !== null) return 'already';
  if ((100 * ejected) / Math.max(1, endpoints) >= policy.maxEjectionPercent) return 'too-many';
  const mostEjections = Math.ceil(policy.maxEjectionMs / policy.baseEjectionMs);
  history.ejections = Math.min(history.ejections + 1, mostEjections);
  history.ejectedUntilMs = nowMs + Math.min(policy.baseEjectionMs * history.ejections, policy.maxEjectionMs);
  return 'ejected';
}

/**
 * As many looks at one endpoint as were due, `intervalMs` apart, the first at `firstMs`; true: it came back. An ejected one comes back with
 * a look only, and each look at one that is not takes one ejection off.
 */
export function review(history: EndpointHistory, firstMs: number, looks: number, intervalMs: number): boolean {
  const { ejectedUntilMs } = history;
  let calm = looks;
  if (ejectedUntilMs !== null) {
    const sooner = Math.max(0, Math.ceil((ejectedUntilMs - firstMs) / intervalMs));
    if (sooner >= looks) return false;
    calm = looks - sooner - 1;
    history.ejectedUntilMs = null;
    history.in5xxRow = 0;
    history.inGatewayRow = 0;
    history.inLocalRow = 0;
  }
  history.ejections = Math.max(0, history.ejections - calm);
  return ejectedUntilMs !== null;
}

/** Whether so few are left that ejections are not heeded: all of them may be healthy, and the network between is not. */
export function isPanic({ minHealthPercent }: OutlierDetection, ejected: number, endpoints: number): boolean {
  return (100 * (endpoints - ejected)) / Math.max(1, endpoints) < minHealthPercent;
}

/** By the number of a gRPC status: the HTTP status that it counts as. */
const STATUS_OF_GRPC: readonly number[] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

/** A gRPC response that has its status in its head is nothing but that (W57); `grpcStatus` null: it has none there. */
export function answered(status: number, grpcStatus: string | null): Observation {
  if (grpcStatus === null) return { kind: 'status', status };
  return { kind: 'status', status: STATUS_OF_GRPC[Number(grpcStatus)] ?? 500 };
}
