import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { isLoopback, tryParseIp } from '#model/address/ip.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { countedDoor } from '#model/guard/door.ts';
import type { Doorkeeper } from '#model/guard/doorkeeper.ts';
import { Retry } from '#model/resilience/retry.ts';
import { AGENT } from '#model/settings/agents.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { DOOR_CAUSES, type DoorCause } from '#model/telemetry/close-cause.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { systemClock } from '#platform/clock.ts';
import { systemRandom } from '#platform/random.ts';

/** Where pages are served; host null: on every address. */
export type PagePlace = { host: string | null; port: number };

/** What a page says now. */
export type Page = { status?: number; type: string; body: string };

/** Pages by their paths, each made when somebody asks. */
export type Pages = ReadonlyMap<string, () => Promise<Page> | Page>;

/** Pages that are served. `address` null: they are not, and `problems` says why unless nobody wanted it. */
export type PageServer = { readonly address: string | null; readonly problems: readonly string[]; close(): void };

/** What is served and by which option it is moved, as sentences call it: `the metrics page`, `--stats`. */
export type PagesServed = { pages: Pages; name: string; option: string };

/** What serving takes. */
export type PageEffects = { meters: Meters; log: Log; clock?: Clock };

/**
 * Serves pages over HTTP; `place` null: nowhere. Never rejects: a taken port is told and tried again until it is free, as that
 * of a former process is a moment later.
 */
export async function servePages(
  served: PagesServed,
  place: PagePlace | null,
  { meters, log, clock = systemClock }: PageEffects,
): Promise<PageServer> {
  if (place === null) return { address: null, problems: [], close() {} };
  const { name, option } = served;
  const where = `${place.host ?? '*'}:${place.port}`;
  let current: Listening = { kind: 'failed', problem: '' };
  let closed = false;
  const attempt = async (): Promise<void> => {
    const before = current;
    current = await listen(served, place, { meters, log });
    if (closed && current.kind === 'open') return current.close();
    if (current.kind === 'open') return retry.succeeded();
    const { problem } = current;
    const isNews = before.kind === 'open' || before.problem !== problem;
    if (isNews) log.warn({ address: where, error: problem }, `no ${name} yet: choose another address with ${option}`);
    retry.failed();
  };
  const backoff = { firstMs: AGENT.enrollRetryMs, maxMs: AGENT.enrollRetryMsMax };
  const again = (): void => {
    attempt().catch((error: unknown) => log.error({ err: error }, `the ${name} is given up`));
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
        : [`no ${name} on ${where}: ${current.problem}; it is tried again; or choose another address with ${option}`];
    },
    close() {
      closed = true;
      retry.close();
      if (current.kind === 'open') current.close();
    },
  };
}

type Listening = { kind: 'open'; address: string; close(): void } | { kind: 'failed'; problem: string };

function listen({ pages, name }: PagesServed, place: PagePlace, { meters, log }: PageEffects): Promise<Listening> {
  let scrapes = 0;
  const server = createServer((request, response) => {
    scrapes++;
    response.once('close', () => scrapes--);
    answer(pages, request, response, scrapes).catch((error: unknown) => {
      log.error({ err: error }, `the ${name} could not be made`);
      response.destroy();
    });
  });
  server.requestTimeout = TELEMETRY.scrapeMs;
  server.headersTimeout = TELEMETRY.scrapeMs;
  // Nothing is to be shown here, so a connection waits for as long as it is open: one host that holds many holds up nobody.
  const door = countedDoor({ name: 'page', meters, clock: systemClock, isKnown: isLoopback });
  server.on('connection', (socket) => guard(socket, door, log, name));
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

function guard(socket: Socket, door: Doorkeeper, log: Log, name: string): void {
  const ip = tryParseIp(socket.remoteAddress ?? '');
  const turnAway = (why: DoorCause): void => {
    socket.destroy();
    log.warn({ ip, why }, `connection to the ${name} closed: ${DOOR_CAUSES[why]}`);
  };
  const waiting = ip === null ? null : door.enter(ip, turnAway);
  if (waiting === null) turnAway('too-fast');
  else socket.once('close', () => waiting.done());
}

async function answer(pages: Pages, request: IncomingMessage, response: ServerResponse, scrapes: number): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?');
  const page = pages.get(path);
  if (page === undefined) return end(response, { status: 404, type: TEXT, body: `there is ${[...pages.keys()].join(', ')}\n` });
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return end(response, { status: 405, type: TEXT, body: 'ask with GET\n' });
  if (scrapes > TELEMETRY.scrapesMax) return end(response, { status: 503, type: TEXT, body: 'too many scrapes at once\n' });
  end(response, await page());
}

const TEXT = 'text/plain';

function end(response: ServerResponse, { status = 200, type, body }: Page): void {
  response.writeHead(status, { 'content-type': type });
  response.end(body);
}

function addressText({ address, port, family }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}
