import type { HttpSession } from '#model/waypoint/filters.ts';
import { type RawSession, readDurationMs } from './documents.ts';

/** The name of a session that its author has not named. */
const SESSION_NAME = 'weft-session';

/** What carries the sessions of a rule or a backend, and how long they last. */
export function readSession({ sessionName, absoluteTimeout, type, cookieConfig }: RawSession): HttpSession {
  return {
    carrier: type === 'Header' ? 'header' : 'cookie',
    name: sessionName === undefined || sessionName === '' ? SESSION_NAME : sessionName,
    absoluteTimeoutMs: absoluteTimeout === undefined ? null : readDurationMs(absoluteTimeout) || null,
    permanent: cookieConfig?.lifetimeType === 'Permanent',
  };
}
