import { answerControlApi } from '#control-plane/status/local-api.ts';
import { SharedLogLevel } from '#model/telemetry/log-level.ts';
import { answerLocalApi } from '#node-agent/status/local-api.ts';
import { type FuzzTarget, require } from '../target.ts';

const refuse = () => Promise.reject(new Error('reached'));
const LINE = /^([A-Z]+) (\S*) ?(.*)$/s;

/** What the agent and the control plane are asked over their sockets: answered, and never by a fault of ours. */
export const localApiTarget: FuzzTarget = {
  name: 'local-api',
  tokens: [
    ...[
      'GET /v1/status',
      'POST /v1/workloads ',
      'DELETE /v1/workloads/shop/cart',
      'POST /v1/cleanup',
      'POST /v1/tokens ',
      '/../',
      '%2f',
    ],
    ...[
      '{"name":"a","namespace":"b","serviceAccount":"c"}',
      '"labels":{"a":1}',
      '"labels":[]',
      '"node":"alpha"',
      '"ttlSeconds":1e308',
    ],
    ...['{', '}', '[', ']', 'null', ',', ':', '"', '\\u0000', '__proto__', '"nativeTunnel":true'],
  ],
  async check(bytes) {
    const [, method = 'GET', path = '/', body = ''] = LINE.exec(bytes.toString('utf8')) ?? [];
    let reached = false;
    const reach = () => {
      reached = true;
      return refuse();
    };
    const logLevel = new SharedLogLevel('info');
    const agent = {
      logLevel,
      start: reach,
      stop: reach,
      drain: reach,
      cleanup: reach,
      isLeaving: () => false,
      handOver: () => ({}) as never,
      status: () => ({}) as never,
    };
    const control = {
      logLevel,
      status: () => ({}) as never,
      describe: () => ({}) as never,
      mintToken: reach,
      revokeTokens: reach,
      ca: { status: () => ({}) as never, rotate: reach },
      stopWaypoints: reach,
      desk: { apply: reach, compare: reach, remove: reach, removeGiven: reach, list: reach as never },
    };
    for (const { status } of [
      await answerLocalApi(method, path, body, agent),
      await answerControlApi(control, method, path, body),
    ]) {
      require(status < 500 || reached, 'no request is a fault of ours');
      require(status >= 200 && status < 600, 'a status is a status');
    }
  },
};
