import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { aMesh, aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { GatewayAddress } from '#model/mesh/service.ts';
import type { AppTunnel, Workload } from '#model/mesh/workload.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import { tunnelTarget } from './tunnel-target.ts';

const gateService = aService('gate', ['240.0.0.9']);
const gate: GatewayAddress = { kind: 'hostname', namespace: 'shop', hostname: gateService.hostname, hbonePort: 15008 };
const cart = { ...aService('cart', ['fd99::1', '240.0.0.1']), waypoint: gate };
const nextService = aService('next', ['240.0.0.8']);
const canary = { waypoint: { ...gate, hostname: nextService.hostname }, weight: 10 };
const tried = { ...aService('tried', ['240.0.0.3']), waypoint: gate, canary };
const free = aService('free', ['240.0.0.2']);
const bound = aWorkload('bound', ['10.0.0.4'], { waypoint: gate });
const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
const way = aWorkload('way', ['10.0.0.3'], { services: endpointOf(gateService) });
const next = aWorkload('next', ['10.0.0.5'], { services: endpointOf(nextService) });
const MESH = aMesh([server, way, next, bound], [gateService, nextService, cart, tried, free]);

const PLAIN = { isProxied: false, port: 0 };
const MOVED = { isProxied: false, port: 9000 };
const PROXIED = { isProxied: true, port: 9000 };

/** `port`, `port dialled` or the cause of the refusal. */
function asked(workload: Workload, authority: string, appTunnel?: AppTunnel): string {
  const [local = parseIp('::')] = workload.addresses;
  const target = tunnelTarget(MESH, appTunnel === undefined ? workload : { ...workload, appTunnel }, { authority, local });
  if (target instanceof Refusal) return target.why;
  return target.dialled === null ? `${target.port}` : `${target.port} ${target.dialled.ip}|${target.dialled.port}`;
}

const TABLE: [rule: string, workload: Workload, authority: string, appTunnel: AppTunnel | undefined, leads: string][] = [
  ['B7', server, '10.0.0.3:80', undefined, 'bad-authority'],
  ['B7', server, '240.0.0.1:80', undefined, 'bad-authority'],
  ['B7', way, '240.0.0.2:80', undefined, 'bad-authority'],
  ['B7', way, '9.9.9.9:80', undefined, 'bad-authority'],
  ['B8', way, '240.0.0.1:80', undefined, '80'],
  ['B8', way, '[fd99::1]:81', undefined, '81'],
  ['B8', way, '10.0.0.4:8080', undefined, '8080'],
  ['B8', way, '240.0.0.3:80', undefined, '80'],
  ['B8', next, '240.0.0.3:80', undefined, '80'],
  ['B7', next, '240.0.0.1:80', undefined, 'bad-authority'],
  ['B8', way, '240.0.0.1:80', MOVED, '9000'],
  ['B8', server, '240.0.0.2:80', PLAIN, '80'],
  ['B8', server, '9.9.9.9:80', MOVED, '9000'],
  ['B9', way, '240.0.0.1:15008', undefined, 'reserved-port'],
  ['B9', server, '10.0.0.2:80', { isProxied: true, port: 15001 }, 'reserved-port'],
  ['B23', server, `${cart.hostname}:80`, undefined, '8080'],
  ['B23', server, 'nowhere.example:80', undefined, 'no-such-port'],
  ['B66', way, '240.0.0.1:80', PROXIED, '9000 240.0.0.1|80'],
  ['B66', way, '10.0.0.3:80', PROXIED, '9000 10.0.0.3|80'],
  ['B66', way, `${cart.hostname}:80`, PROXIED, '9000 240.0.0.1|80'],
  ['B66', way, 'nowhere.example:80', PROXIED, 'no-such-port'],
  ['B66', way, '240.0.0.1:80', { isProxied: true, port: 0 }, '80 240.0.0.1|80'],
];
for (const [rule, workload, authority, appTunnel, leads] of TABLE)
  test(`${rule}: ${authority} asked of ${workload.name} with ${JSON.stringify(appTunnel) ?? 'no tunnel of its app'}: ${leads}`, () =>
    assert.equal(asked(workload, authority, appTunnel), leads));
