import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { App } from '#testbed/lab/app.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { inClear } from '../security/dialling.testing.ts';
import { AttackedMesh } from '../security/mesh.testing.ts';
import { program, SKIP } from './peers.testing.ts';

// DNS and QUIC as others have written them, by UDP to a service: on its node by weight, from another node not at all.

const PORT = 5300;
const VIPS = { 'dns-server': '10.96.41.1', 'quic-server': '10.96.41.2' } as const;
/** Each from a socket of its own; a handshake of QUIC costs milliseconds. */
const COUNTS = { 'dns-server': 3_000, 'quic-server': 600 } as const;
const CLIENTS = { 'dns-server': 'dns', 'quic-server': 'quic' } as const;
const SERVERS = Object.keys(VIPS) as (keyof typeof VIPS)[];
const SHARE = 0.9;
const [CLIENT_MS, SETTLE_MS] = [60_000, 20_000];
const IDLE = ['sh', '-c', 'echo "{\\"event\\":\\"listening\\",\\"pid\\":$$}"; exec sleep 100000'];

const serviceYaml = (name: string, vip: string, app: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: attacks }
spec:
  clusterIP: ${vip}
  selector: { app: ${app} }
  ports: [{ name: datagrams, port: ${PORT}, targetPort: 7000, protocol: UDP }]
`;
const routeYaml = (name: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: { name: ${name}, namespace: attacks }
spec:
  parentRefs: [{ group: "", kind: Service, name: ${name} }]
  rules:
    - backendRefs:
        - { name: ${name}-old, port: ${PORT}, weight: ${SHARE * 100} }
        - { name: ${name}-new, port: ${PORT}, weight: ${100 - SHARE * 100} }
`;

describe('DNS and QUIC to services', { skip: SKIP }, () => {
  let mesh: AttackedMesh;

  /** Who answered so many of a client's connections or questions, or why nobody did. */
  async function asked(client: string, server: keyof typeof VIPS, count: number): Promise<Record<string, number>> {
    const line = [program('udp-peer'), CLIENTS[server], `${VIPS[server]}:${PORT}`, String(count)];
    const { code, stdout, stderr } = await mesh.inside(client, line, CLIENT_MS);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Record<string, number>;
  }

  before(async () => {
    const yaml = SERVERS.flatMap((name, at) => [
      serviceYaml(name, VIPS[name], `${name}-old`),
      serviceYaml(`${name}-old`, `10.96.41.${11 + at}`, `${name}-old`),
      serviceYaml(`${name}-new`, `10.96.41.${21 + at}`, `${name}-new`),
      routeYaml(name),
    ]);
    mesh = await AttackedMesh.up({ 'datagrams.yaml': yaml.join('---\n') });
    const start = (name: string, command: string[], node: 'alpha' | 'beta' = 'alpha'): Promise<App> =>
      mesh.start({ name, node, command });
    await Promise.all([
      ...SERVERS.flatMap((kind) => ['old', 'new'].map((end) => start(`${kind}-${end}`, [program('udp-peer'), kind, end]))),
      start('here', IDLE),
      start('elsewhere', IDLE, 'beta'),
    ]);
    for (const server of SERVERS)
      await waitUntil(`answers of ${server}`, SETTLE_MS, async () => {
        const answers = await asked('here', server, 20);
        return Object.keys(answers).every((name) => name === 'old' || name === 'new');
      });
  });
  after(() => mesh?.down());

  for (const server of SERVERS)
    test(`config-api 1.14: UDPRoute: ${CLIENTS[server]}: each flow goes to one backend, all of them by weight`, async () => {
      const count = COUNTS[server];
      const { old = 0, new: fresh = 0, ...others } = await asked('here', server, count);
      assert.deepEqual([others, old + fresh], [{}, count]);
      // A fair draw is farther off than five deviations less than once in a million times.
      const bound = 5 * Math.sqrt(count * SHARE * (1 - SHARE));
      assert.ok(Math.abs(old - SHARE * count) <= bound, `${old} of ${count} instead of ${SHARE * count} ± ${bound.toFixed(0)}`);
    });

  for (const server of SERVERS)
    test(`promise 1: ${CLIENTS[server]} to another node is refused, with a line, and nothing of it is on the wire`, async () => {
      const { result, report } = await mesh.wire(() => asked('elsewhere', server, 20));
      assert.deepEqual(result, { ECONNREFUSED: 20 });
      assert.deepEqual(inClear(report), []);
      await waitUntil('a line that says so', SETTLE_MS, async () =>
        (await mesh.log('beta')).split('\n').some((line) => line.includes('datagram') && line.includes(VIPS[server])),
      );
    });

  test('status says what becomes of UDP between nodes', async () => {
    assert.equal((await mesh.status('beta')).udpBetweenNodes, 'refuse');
  });
});
