import assert from 'node:assert/strict';
import test from 'node:test';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Scope } from '#model/mesh/service.ts';
import type { Locality } from '#model/waypoint/destination-settings.ts';
import { groupsOf, loadsByShare, loadsInOrder } from './localities.ts';

function at(place: string) {
  const [region = '', zone = '', subzone = ''] = place.split('/');
  return { region, zone, subzone };
}

const HERE = { node: 'one', clusterId: 'Kubernetes', network: 'n1', locality: at('r1/z1/s1') };

/** Endpoints called by their places; the second of a place has a weight of 3. */
const ENDPOINTS = ['r1/z1/s1', 'r1/z1/s2', 'r1/z2/s1', 'r2/z1/s1', 'r3/z1/s1', 'r3/z2/s1'].map((place) => ({
  workload: aWorkload(place, [], { locality: at(place), node: place, network: place.startsWith('r1') ? 'n1' : 'n2' }),
  capacity: place === 'r3/z2/s1' ? 3 : 1,
  active: 0,
}));

const ROWS: { name: string; setting: Locality; preference?: Scope[]; from?: string; want: string[] | null }[] = [
  { name: 'off', setting: { kind: 'off' }, want: null },
  {
    name: 'subzone before zone before region before all others',
    setting: { kind: 'nearest' },
    want: ['r1/z1/s1', 'r1/z1/s2', 'r1/z2/s1', 'r2/z1/s1 r3/z1/s1 r3/z2/s1'],
  },
  {
    name: 'what its service prefers',
    setting: { kind: 'nearest' },
    preference: ['network', 'region', 'zone'],
    want: ['r1/z1/s1 r1/z1/s2', 'r1/z2/s1', 'r2/z1/s1 r3/z1/s1 r3/z2/s1'],
  },
  { name: 'a waypoint that does not know where it is', setting: { kind: 'nearest' }, from: '', want: null },
  {
    name: 'a region in place of the own one',
    setting: {
      kind: 'failover',
      regions: [
        { from: 'r2', to: 'r1' },
        { from: 'r1', to: 'r3' },
      ],
    },
    want: ['r1/z1/s1', 'r1/z1/s2', 'r1/z2/s1', 'r3/z1/s1 r3/z2/s1', 'r2/z1/s1'],
  },
  {
    name: 'a region in place of another one',
    setting: { kind: 'failover', regions: [{ from: 'r2', to: 'r1' }] },
    want: ['r1/z1/s1', 'r1/z1/s2', 'r1/z2/s1', 'r2/z1/s1 r3/z1/s1 r3/z2/s1'],
  },
  {
    name: 'labels, from the first one on',
    setting: {
      kind: 'priority',
      scopes: [
        { scope: 'zone', value: 'z2' },
        { scope: 'network', value: null },
      ],
    },
    want: ['r1/z2/s1', 'r3/z2/s1', 'r1/z1/s1 r1/z1/s2 r2/z1/s1 r3/z1/s1'],
  },
  {
    name: 'shares, the most exact place first; a place is divided by weight, and others get nothing',
    setting: {
      kind: 'distribute',
      shares: [
        { from: 'r2', to: [{ place: 'r1', weight: 100 }] },
        {
          from: 'r1/*',
          to: [
            { place: 'r3/*', weight: 60 },
            { place: 'r1/z1/s1', weight: 30 },
            { place: 'r1', weight: 10 },
          ],
        },
      ],
    },
    want: ['r1/z1/s1 30', 'r1/z1/s2 5', 'r1/z2/s1 5', 'r3/z1/s1 15', 'r3/z2/s1 45'],
  },
  {
    name: 'shares of nobody here',
    setting: { kind: 'distribute', shares: [{ from: 'r9', to: [{ place: '*', weight: 100 }] }] },
    want: null,
  },
];
for (const { name, setting, preference = [], from, want } of ROWS)
  test(`W51 endpoints by where they are: ${name}`, () => {
    const client = from === undefined ? HERE : { ...HERE, locality: at(from) };
    const found = groupsOf(setting, ENDPOINTS, client, preference);
    const names = (group: readonly (typeof ENDPOINTS)[number][]) => group.map(({ workload }) => workload.name).join(' ');
    if (found === null) assert.equal(want, null);
    else if (found.kind === 'in-order') assert.deepEqual(found.groups.map(names), want);
    else assert.deepEqual(found.groups.map(({ endpoints, weight }) => `${names(endpoints)} ${weight}`).toSorted(), want);
  });

const percent = (loads: readonly { load: number; panics: boolean }[]) =>
  loads.map(({ load, panics }) => `${Math.round(load * 1_000) / 10}${panics ? '!' : ''}`).join(' ');
/** `healthy/total` of each group. */
const groups = (text: string) =>
  text.split(' ').map((one) => {
    const [healthy = 0, total = 0] = one.split('/').map(Number);
    return { healthy, total };
  });

const LOADS: { health: string; least?: number; want: string }[] = [
  { health: '4/4 4/4', want: '100 0' },
  { health: '3/4 4/4', want: '100 0' },
  { health: '2/4 4/4', want: '70 30' },
  { health: '0/4 4/4', want: '0 100' },
  { health: '2/4 1/4 4/4', want: '70 30 0' },
  { health: '1/4 1/4 4/4', want: '35 35 30' },
  { health: '1/4 1/4', want: '50 50' },
  { health: '0/4 0/4', want: '100 0' },
  { health: '1/4 1/4', least: 50, want: '50! 50!' },
  { health: '0/4 0/4', least: 50, want: '100! 0!' },
  { health: '1/4 4/4', least: 50, want: '35 65' },
];
for (const { health, least = 0, want } of LOADS)
  test(`W51 with ${health} well, and at least ${least} %, the localities get ${want}`, () =>
    assert.equal(percent(loadsInOrder(groups(health), least)), want));

test('W51 a share gets less by as much as its endpoints can take less', () => {
  const shares = (health: string, least = 0) =>
    percent(
      loadsByShare(
        groups(health).map((one, index) => ({ ...one, weight: [80, 20][index] ?? 0 })),
        least,
      ),
    );
  assert.equal(shares('4/4 4/4'), '80 20');
  assert.equal(shares('3/4 4/4'), '80 20');
  assert.equal(shares('0/4 4/4'), '0 100');
  assert.equal(shares('1/4 4/4'), '58.3 41.7');
  assert.equal(shares('0/4 0/4'), '0 0');
  assert.equal(shares('1/4 0/4', 50), '80! 20!');
});
