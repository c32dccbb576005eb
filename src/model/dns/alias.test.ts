import assert from 'node:assert/strict';
import { test } from 'node:test';
import { servicesMeant } from './alias.ts';

const OPTIONS = { clusterDomain: 'cluster.local', searchDomains: null, preferredNamespace: null, ipv6: true };

const ROWS: { name: string; asked: string; meant: string[] }[] = [
  {
    name: 'a full name',
    asked: 'Cart.bank.svc.cluster.local.',
    meant: ['bank/cart.bank.svc.cluster.local', 'shop/cart.bank', 'shop/*.bank'],
  },
  { name: 'a short name', asked: 'cart', meant: ['shop/cart.shop.svc.cluster.local', 'shop/cart'] },
  {
    name: 'a name with a namespace',
    asked: 'cart.bank',
    meant: ['bank/cart.bank.svc.cluster.local', 'shop/cart.bank', 'shop/*.bank'],
  },
  {
    name: 'a name below that of the cluster',
    asked: 'a.b.cluster.local',
    meant: ['b/a.b.svc.cluster.local', 'shop/a.b', 'shop/*.b'],
  },
  {
    name: 'a host outside of the cluster',
    asked: 'api.example.com',
    meant: ['shop/api.example.com', 'shop/*.example.com', 'shop/*.com'],
  },
  {
    name: 'the same with a search domain behind it',
    asked: 'api.example.com.shop.svc.cluster.local',
    meant: ['shop/api.example.com', 'shop/*.example.com', 'shop/*.com'],
  },
  { name: 'the root', asked: '.', meant: [] },
];

for (const { name, asked, meant } of ROWS)
  test(`B73: ${name} may mean ${meant.length === 0 ? 'no service' : meant.join(', ')}`, () => {
    assert.deepEqual(servicesMeant(asked, { namespace: 'shop' }, OPTIONS), meant);
  });
