import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratch } from '#main/weft-process.testing.ts';
import { WeftError } from '#model/error.ts';
import { agentClient } from '#platform/local-api/clients.ts';
import { type Answer, serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import { errorReply } from '#protocol/api/reply.ts';
import { runOn } from './run.ts';

const WEB = {
  name: 'web',
  namespace: 'shop',
  serviceAccount: 'web-sa',
  labels: { app: 'web' },
  nativeTunnel: false,
  command: ['true'],
};
const SANDBOX = {
  uid: 'u',
  addresses: ['10.41.0.2'],
  netnsPath: '/absent/net',
  cgroupPath: '/absent',
  resolvConfPath: '/absent',
};

/** An agent behind a real socket that writes down what it is asked. */
async function agent(t: TestContext, start: () => Promise<Awaited<ReturnType<Answer>>>) {
  const socket = join(scratch(t), 'agent.sock');
  const asked: string[] = [];
  const close = await serveLocalSocket(socket, async (method, path, body) => {
    asked.push(`${method} ${path} ${body}`.trim());
    return method === 'POST' ? start() : { status: 204, body: null };
  });
  t.after(close);
  return { client: agentClient(socket), asked };
}

const STARTED = `POST /v1/workloads ${JSON.stringify({
  name: 'web',
  namespace: 'shop',
  serviceAccount: 'web-sa',
  labels: { app: 'web' },
  nativeTunnel: false,
})}`;

const notLaunched = (): never => assert.fail('there is nothing to run it in');

const listeners = (): number =>
  ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'].reduce((sum, name) => sum + process.listenerCount(name), 0);

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
] as const) {
  test(`run: ${signal} before the command runs ends the workload, and the exit code says so`, async (t) => {
    const { client, asked } = await agent(t, async () => {
      process.kill(process.pid, signal);
      // A signal is delivered between two turns of the event loop: answer when it has been.
      await new Promise<void>((resolve) => process.once(signal, () => resolve()));
      return { status: 200, body: SANDBOX };
    });
    const before = listeners();
    assert.equal(await runOn(client, WEB, notLaunched), code);
    assert.deepEqual(asked, [STARTED, 'DELETE /v1/workloads/shop/web']);
    assert.equal(listeners(), before);
  });
}

test('run: a refusal of the agent is the error, no workload is removed that never was, and no signal is held', async (t) => {
  const refusal = new WeftError('WEFT_WORKLOAD_EXISTS', 'there is one', { remedy: 'choose another --name' });
  const { client, asked } = await agent(t, async () => errorReply(refusal));
  const before = listeners();
  await assert.rejects(runOn(client, WEB, notLaunched), { code: 'WEFT_WORKLOAD_EXISTS', remedy: 'choose another --name' });
  assert.deepEqual([asked, listeners()], [[STARTED], before]);
});

test('run: without an agent the error names the socket and how to start one', async (t) => {
  const socket = join(scratch(t), 'agent.sock');
  await assert.rejects(runOn(agentClient(socket), WEB, notLaunched), (error: Error & { code: string; remedy: string }) => {
    assert.equal(error.code, 'WEFT_NO_AGENT');
    assert.match(`${error.message} ${error.remedy}`, /agent\.sock.*weft up or weft agent/s);
    return true;
  });
});
