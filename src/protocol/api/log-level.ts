import { WeftError } from '#model/error.ts';
import { LOG_LEVELS, type LogLevel, readLogLevel, type SharedLogLevel } from '#model/telemetry/log-level.ts';
import { type ApiReply, bodyObject, replyTo } from './reply.ts';

/** Path of the level of a part's log: GET → LogLevelStatus; POST { level } → LogLevelStatus, from now until the part ends. */
export const LOG_LEVEL_PATH = '/v1/log-level';

/** The present level of a part's log. */
export type LogLevelStatus = { level: LogLevel };

/** Answers GET and POST of LOG_LEVEL_PATH; undefined: it is another request. Errors: WEFT_API_BODY. */
export function answerLogLevel(level: SharedLogLevel, request: string, body: string): LogLevelStatus | undefined {
  if (request === `POST ${LOG_LEVEL_PATH}`) level.set(wantedLevel(body));
  else if (request !== `GET ${LOG_LEVEL_PATH}`) return undefined;
  return { level: level.get() };
}

/** Answers one request of a waypoint's local API, which has nothing else. Never rejects. */
export function answerWaypointApi(level: SharedLogLevel, method: string, path: string, body: string): Promise<ApiReply> {
  return replyTo(() => {
    const told = answerLogLevel(level, `${method} ${path}`, body);
    if (told !== undefined) return told;
    throw new WeftError('WEFT_API_PATH', `the waypoint has no ${method} ${path}`);
  });
}

function wantedLevel(body: string): LogLevel {
  const { level } = bodyObject(body);
  const known = typeof level === 'string' ? readLogLevel(level) : null;
  if (known !== null) return known;
  throw new WeftError('WEFT_API_BODY', `${JSON.stringify(level)} is not a level`, {
    remedy: `send {"level": "${LOG_LEVELS.join('|')}"}`,
  });
}
