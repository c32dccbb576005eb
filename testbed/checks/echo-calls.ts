import { setTimeout as sleep } from 'node:timers/promises';
import type { App } from '#testbed/mesh/app.ts';
import type { Family } from '#testbed/mesh/shop.ts';
import type { Probe } from '#testbed/probe/probe-client.ts';
import type { ConnectAnswer, ConnectRequest, Dial } from '#testbed/probe/protocol.ts';
import { expect, expectEqual } from './check.ts';

const POLL_MS = 50;

/** An answer of a call that worked: both ends are known. */
export type EchoCall = ConnectAnswer & { greeting: NonNullable<ConnectAnswer['greeting']>; local: Dial; close(): Promise<void> };

/**
 * Calls an echo service and checks what both ends saw: the client's getpeername shows what it dialled,
 * the server sees the client's own address.
 */
export async function expectEcho(
  probe: Probe,
  client: App,
  family: Family,
  dial: Dial,
  options: Partial<ConnectRequest> = {},
): Promise<EchoCall> {
  const { greeting, local, remote, ...answer } = await probe.connect(dial, options);
  const what = `${client.name} to [${dial.host}]:${dial.port}`;
  expect(answer.error === null && greeting !== null && local !== null, `${what}: ${String(answer.error)} at ${answer.stage}`);
  expectEqual(remote?.host, dial.host, `${what}: the client's getpeername`);
  expectEqual(remote?.port, dial.port, `${what}: the port of the client's getpeername`);
  expectEqual(greeting.peer, client.address[family], `${what}: the peer that the server sees`);
  return { ...answer, greeting, local, remote };
}

/** How a call that must not get through ended; fails the check if any byte of the server arrived. */
export async function expectNoEcho(probe: Probe, dial: Dial): Promise<ConnectAnswer> {
  const answer = await probe.connect(dial);
  expect(
    answer.error !== null && answer.greeting === null,
    `${probe.name} got through to [${dial.host}]:${dial.port}, which must not be`,
  );
  return answer;
}

/**
 * Calls until connect() itself is refused, and returns how many calls that took. Until a verdict is cached the agent
 * refuses by closing; in no call may a byte of the server come through.
 */
export async function expectRefused(probe: Probe, dial: Dial, timeoutMs: number): Promise<number> {
  const deadlineMs = performance.now() + timeoutMs;
  for (let calls = 1; ; calls++) {
    const { stage, error } = await expectNoEcho(probe, dial);
    if (stage === 'connect' && error === 'ECONNREFUSED') return calls;
    const how = `${String(error)} at ${stage}`;
    expect(
      performance.now() < deadlineMs,
      `${probe.name} to [${dial.host}]:${dial.port} ends with ${how}, not ECONNREFUSED by connect()`,
    );
    await sleep(POLL_MS);
  }
}
