import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import type { ConnectionMatch } from '#model/waypoint/connection-routes.ts';
import { compileConnectionRoutes, isCalled, type RoutedConnection } from './connection-routes.ts';

const ANY: ConnectionMatch = { ports: null, serverNames: null, subnets: null, clientNamespace: null };
const CONNECTION: RoutedConnection = {
  port: 443,
  address: parseIp('10.96.0.1'),
  serverName: 'a.example',
  clientNamespace: 'web',
};
const to = (service: string, weight = 1) => ({ service, port: 1, weight });
const told: string[] = [];
const compile = (...routes: { matches?: ConnectionMatch[]; backends?: ReturnType<typeof to>[] }[]) =>
  compileConnectionRoutes(
    routes.map(({ matches = [], backends = [to('s')] }) => ({ matches, backends })),
    (why) => told.push(why),
  );

const cases: { name: string; match: Partial<ConnectionMatch>; connection?: Partial<RoutedConnection>; holds: boolean }[] = [
  { name: 'nothing', match: {}, holds: true },
  { name: 'the port', match: { ports: [80, 443] }, holds: true },
  { name: 'another port', match: { ports: [80] }, holds: false },
  { name: 'the name', match: { serverNames: ['b.example', 'a.example'] }, holds: true },
  {
    name: 'a name where none is asked for',
    match: { serverNames: ['a.example'] },
    connection: { serverName: null },
    holds: false,
  },
  { name: 'no name at all', match: { serverNames: [] }, holds: false },
  { name: 'a block', match: { subnets: ['10.96.0.0/16'] }, holds: true },
  { name: 'an address', match: { subnets: ['10.96.0.1'] }, holds: true },
  { name: 'another block', match: { subnets: ['10.97.0.0/16'] }, holds: false },
  { name: 'a block where a name was dialled', match: { subnets: ['0.0.0.0/0'] }, connection: { address: null }, holds: false },
  { name: 'a block that is none', match: { subnets: ['10.96'] }, holds: false },
  { name: 'the namespace of the client', match: { clientNamespace: 'web' }, holds: true },
  {
    name: 'it, of a client without identity',
    match: { clientNamespace: 'web' },
    connection: { clientNamespace: '' },
    holds: false,
  },
  { name: 'one of two parts', match: { ports: [443], clientNamespace: 'shop' }, holds: false },
];
for (const { name, match, connection = {}, holds } of cases) {
  test(`a route of connections that asks for ${name} ${holds ? 'holds' : 'does not'}`, () => {
    const found = compile({ matches: [{ ...ANY, ...match }] }).backendsOf({ ...CONNECTION, ...connection });
    assert.deepEqual(found, holds ? [to('s')] : null);
  });
}

test('the first route that matches wins, and any of its matches will do', () => {
  const table = compile(
    {
      matches: [
        { ...ANY, ports: [1] },
        { ...ANY, ports: [2] },
      ],
      backends: [to('first')],
    },
    { backends: [to('second'), to('never', 0)] },
  );
  const at = (port: number) => table.backendsOf({ ...CONNECTION, port });
  assert.deepEqual([at(2), at(3)], [[to('first')], [to('second')]]);
});

test('shares that come to nothing refuse, in place of a route that says nothing', () => {
  const table = compile({ matches: [{ ...ANY, ports: [443] }], backends: [to('s', 0)] });
  assert.deepEqual([table.backendsOf(CONNECTION), table.backendsOf({ ...CONNECTION, port: 80 })], [[], null]);
});

test('names are only asked for at ports where a route goes by them', () => {
  const table = compile({ matches: [{ ...ANY, ports: [443], serverNames: ['a'] }] }, { matches: [{ ...ANY, ports: [80] }] });
  assert.deepEqual([table.asksForName(443, true), table.asksForName(80, false)], [true, false]);
  const every = compile({ matches: [{ ...ANY, serverNames: ['a'] }] });
  assert.deepEqual([every.asksForName(80, false), every.asksForName(80, true)], [true, false], 'a server may speak first');
});

test('config-api 1.14: a star stands for labels at the beginning, and not for none', () => {
  const called = (name: string) => isCalled(name, '*.example');
  assert.deepEqual(['a.example', 'a.b.example', 'example', '.example', 'aexample'].map(called), [
    true,
    true,
    false,
    false,
    false,
  ]);
});
