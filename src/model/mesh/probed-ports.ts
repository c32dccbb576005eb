/** A port as a probe names it: by its number, or by the name that a container gives it. */
type Named = { port?: number | string; host?: string };
type Handler = { httpGet?: Named; tcpSocket?: Named; grpc?: Named };

/** What of a container says where the kubelet connects to it. */
export type ProbedContainer = {
  ports?: readonly { name?: string; containerPort?: number }[];
  livenessProbe?: Handler;
  readinessProbe?: Handler;
  startupProbe?: Handler;
  lifecycle?: { postStart?: Handler; preStop?: Handler };
};

/** Fixed by TCP. */
const PORT_MAX = 65_535;

/**
 * Ports of a pod that the kubelet of its node connects to: those of its probes and of its hooks, in order, each once. What they send
 * to another host is none of the pod's; a name that no port of the container has leads nowhere.
 */
export function probedPorts(containers: readonly ProbedContainer[]): number[] {
  const found = containers.flatMap(({ ports = [], livenessProbe, readinessProbe, startupProbe, lifecycle = {} }) => {
    const handlers = [livenessProbe, readinessProbe, startupProbe, lifecycle.postStart, lifecycle.preStop];
    return handlers
      .flatMap((handler) => [handler?.httpGet, handler?.tcpSocket, handler?.grpc])
      .flatMap((named) => (named === undefined || (named.host ?? '') !== '' ? [] : [named.port]))
      .map((port) => (typeof port === 'string' ? (numberOf(port, ports) ?? 0) : (port ?? 0)));
  });
  return [...new Set(found)].filter((port) => Number.isInteger(port) && port > 0 && port <= PORT_MAX).sort((a, b) => a - b);
}

/** A text is a number where it says one, as the API server writes some. */
function numberOf(text: string, ports: NonNullable<ProbedContainer['ports']>): number | undefined {
  return ports.find(({ name }) => name === text)?.containerPort ?? (/^\d{1,5}$/.test(text) ? Number(text) : undefined);
}
