import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { isLoopback, tryParseIp } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { countedDoor } from '#model/guard/door.ts';
import type { Doorkeeper } from '#model/guard/doorkeeper.ts';
import { PORT } from '#model/mesh/ports.ts';
import { Retry } from '#model/resilience/retry.ts';
import { AGENT } from '#model/settings/agents.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { DOOR_CAUSES, type DoorCause } from '#model/telemetry/close-cause.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { systemClock } from '#platform/clock.ts';
import { systemRandom } from '#platform/random.ts';

/** Where a page is served; host null: on every address. */
export type MetricsPlace = { host: string | null; port: number };

/** A metrics page, as it is now. `address` null: it is not served, and `problems` says why unless nobody wanted it. */
export type MetricsServer = { readonly address: string | null; readonly problems: readonly string[]; close(): void };

/** Paths of the page: Prometheus' and Istio's, whose dashboards know names that are in no base unit. */
const PAGES = new Map([
  ['/metrics', 'base-units'],
  ['/stats/prometheus', 'istio'],
] as const);

/** Where waypoints serve theirs: in a namespace of their own. */
export const WAYPOINT_PLACE: MetricsPlace = { host: null, port: PORT.stats };

/**
 * Serves the metrics page over HTTP; `place` null: nowhere. Never rejects: a taken port is told and tried again until it is
 * free, as that of a former process is a moment later; counting goes on.
 */
export async function serveMetrics(
  meters: Meters,
  place: MetricsPlace | null,
  log: Log,
  clock: Clock = systemClock,
): Promise<MetricsServer> {
  if (place === null) return { address: null, problems: [], close() {} };
  const where = `${place.host ?? '*'}:${place.port}`;
  let current: Listening = { kind: 'failed', problem: '' };
  let closed = false;
  const attempt = async (): Promise<void> => {
    const before = current;
    current = await listen(meters, place, log);
    if (closed && current.kind === 'open') return current.close();
    if (current.kind === 'open') return retry.succeeded();
    const { problem } = current;
    const isNews = before.kind === 'open' || before.problem !== problem;
    if (isNews) log.warn({ address: where, error: problem }, 'no metrics page yet: choose another address with --stats');
    retry.failed();
  };
  const backoff = { firstMs: AGENT.enrollRetryMs, maxMs: AGENT.enrollRetryMsMax };
  const again = (): void => {
    attempt().catch((error: unknown) => log.error({ err: error }, 'the metrics page is given up'));
  };
  const retry = new Retry({ clock, random: systemRandom }, backoff, again);
  await attempt();
  return {
    get address() {
      return current.kind === 'open' ? current.address : null;
    },
    get problems() {
      return current.kind === 'open'
        ? []
        : [`no metrics page on ${where}: ${current.problem}; it is tried again; or choose another address with --stats`];
    },
    close() {
      closed = true;
      retry.close();
      if (current.kind === 'open') current.close();
    },
  };
}

type Listening = { kind: 'open'; address: string; close(): void } | { kind: 'failed'; problem: string };

function listen(meters: Meters, place: MetricsPlace, log: Log): Promise<Listening> {
  let scrapes = 0;
  const server = createServer((request, response) => {
    scrapes++;
    response.once('close', () => scrapes--);
    answer(meters, request, response, scrapes).catch((error: unknown) => {
      log.error({ err: error }, 'the metrics page could not be made');
      response.destroy();
    });
  });
  server.requestTimeout = TELEMETRY.scrapeMs;
  server.headersTimeout = TELEMETRY.scrapeMs;
  // Nothing is to be shown here, so a connection waits for as long as it is open: one host that holds many holds up nobody.
  const door = countedDoor({ name: 'page', meters, clock: systemClock, isKnown: isLoopback });
  server.on('connection', (socket) => guard(socket, door, log));
  return new Promise((resolve) => {
    server.once('error', (error) => resolve({ kind: 'failed', problem: error.message }));
    server.listen({ port: place.port, ...(place.host === null ? {} : { host: place.host }) }, () => {
      // Only now: that the port is taken is told above, once.
      server.on('error', (error) => log.warn({ error: error.message }, 'a scrape could not be accepted'));
      const close = (): void => {
        server.close();
        server.closeAllConnections();
      };
      resolve({ kind: 'open', address: addressText(server.address() as AddressInfo), close });
    });
  });
}

function guard(socket: Socket, door: Doorkeeper, log: Log): void {
  const ip = tryParseIp(socket.remoteAddress ?? '');
  const turnAway = (why: DoorCause): void => {
    socket.destroy();
    log.warn({ ip, why }, `connection to the metrics page closed: ${DOOR_CAUSES[why]}`);
  };
  const waiting = ip === null ? null : door.enter(ip, turnAway);
  if (waiting === null) turnAway('too-fast');
  else socket.once('close', () => waiting.done());
}

async function answer(meters: Meters, request: IncomingMessage, response: ServerResponse, scrapes: number): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?');
  const names = PAGES.get(path as '/metrics');
  if (names === undefined) return end(response, 404, 'the metrics page is /metrics\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405, 'ask with GET\n');
  if (scrapes > TELEMETRY.scrapesMax) return end(response, 503, 'too many scrapes at once\n');
  // With the first scrape: where nobody asks, nobody holds what writes pages.
  const { metricsPage, PAGE_TYPE } = await import('./metrics-page.ts');
  // Whoever counts elsewhere and has no time now is shown as it was a moment ago.
  const late = new Promise<void>((resolve) => void systemClock.after(TELEMETRY.fetchMs, resolve));
  await Promise.race([meters.fetched(), late]);
  response.setHeader('content-type', PAGE_TYPE);
  response.end(await metricsPage(meters.collect(), names));
}

function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' });
  response.end(text);
}

function addressText({ address, port, family }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}
