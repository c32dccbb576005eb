import { COMMAND } from '#model/settings/host.ts';
import type { ControlStatus, TokenResponse } from '#protocol/api/control.ts';
import { callSocket } from './unix-http.ts';

const ABSENT = {
  code: 'WEFT_NO_CONTROL',
  what: 'the control plane',
  remedy: 'start it with weft up or weft control, or name its socket with --socket or --run-dir',
};

/** The local API of the control plane. Errors: WEFT_NO_CONTROL when it does not answer, WEFT_NOT_ROOT, and those it gives. */
export type ControlClient = {
  status(): Promise<ControlStatus>;
  token(node: string): Promise<TokenResponse>;
  stopWaypoints(): Promise<void>;
};

/** Speaks to the control plane behind a unix socket; it is of this source tree, so its answers are taken at their word. */
export function controlClient(socketPath: string): ControlClient {
  const call = (method: 'GET' | 'POST', path: string, timeoutMs: number, body?: unknown): Promise<unknown> =>
    callSocket({ socketPath, method, path, body, timeoutMs, absent: ABSENT });
  return {
    status: async () => (await call('GET', '/v1/status', COMMAND.statusMs)) as ControlStatus,
    token: async (node) => (await call('POST', '/v1/tokens', COMMAND.statusMs, { node })) as TokenResponse,
    async stopWaypoints() {
      await call('POST', '/v1/waypoints/stop', COMMAND.stopMs);
    },
  };
}
