import type { HttpSession } from '#model/waypoint/filters.ts';

/** A session as a client brings it. */
export type Session = {
  readonly token: string /** Milliseconds since the epoch; null: it does not end by itself. */;
  readonly endsMs: number | null;
};

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;

/**
 * What stands for an endpoint in a session: the same in every waypoint, without saying where the endpoint is. Who makes one
 * up reaches an endpoint that the route could have chosen for it anyway.
 */
export function sessionToken(endpoint: string): string {
  let hash = FNV_OFFSET;
  for (const octet of new TextEncoder().encode(endpoint)) hash = BigInt.asUintN(64, (hash ^ BigInt(octet)) * FNV_PRIME);
  return hash.toString(16).padStart(16, '0');
}

/** The session that a request brings; null when it brings none, or one that has ended. `cookies`: values of that header. */
export function readSession(value: string | null, nowMs: number): Session | null {
  const parts = /^([0-9a-f]{16})(?:\.([0-9a-z]{1,11}))?$/.exec(value ?? '');
  if (parts === null) return null;
  const [, token = '', ends] = parts;
  const endsMs = ends === undefined ? null : Number.parseInt(ends, 36);
  return endsMs !== null && endsMs <= nowMs ? null : { token, endsMs };
}

/** As the client is to bring it again. */
export function writeSession({ token, endsMs }: Session): string {
  return endsMs === null ? token : `${token}.${endsMs.toString(36)}`;
}

/** The first value of one cookie; null when there is none. */
export function cookieValue(cookies: readonly string[], name: string): string | null {
  for (const line of cookies) {
    for (const pair of line.split(';')) {
      const equals = pair.indexOf('=');
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
    }
  }
  return null;
}

/** The value of Set-Cookie that begins a session. */
export function sessionCookie({ name, permanent }: HttpSession, session: Session, nowMs: number): string {
  const age = permanent && session.endsMs !== null ? `; Max-Age=${Math.ceil((session.endsMs - nowMs) / 1_000)}` : '';
  return `${name}=${writeSession(session)}; Path=/; HttpOnly${age}`;
}
