import assert from 'node:assert/strict';
import test from 'node:test';
import { type Redirect, type RedirectedRequest, redirectLocation } from '#model/routing/redirect.ts';

const NOTHING: Redirect = { scheme: null, hostname: null, port: null, path: null, status: 302 };
const REQUEST: RedirectedRequest = {
  scheme: 'http',
  authority: 'shop.example',
  hostname: 'cart.shop.svc.cluster.local',
  port: 80,
  path: '/a/b',
  query: '',
};

const CASES: { name: string; redirect?: Partial<Redirect>; request?: Partial<RedirectedRequest>; want: string }[] = [
  { name: 'nothing changed', want: 'http://shop.example/a/b' },
  { name: 'a host', redirect: { hostname: 'example.org' }, want: 'http://example.org/a/b' },
  { name: 'a scheme brings its port', redirect: { scheme: 'https' }, request: { port: 8080 }, want: 'https://shop.example/a/b' },
  { name: 'the port of the service', request: { port: 8080 }, want: 'http://shop.example:8080/a/b' },
  { name: 'a port', redirect: { port: 8083 }, want: 'http://shop.example:8083/a/b' },
  { name: 'a port that the scheme implies', redirect: { port: 443, scheme: 'https' }, want: 'https://shop.example/a/b' },
  { name: 'port 443 with http', redirect: { port: 443 }, want: 'http://shop.example:443/a/b' },
  {
    name: "the client's port is not the redirect's",
    request: { authority: 'shop.example:8080' },
    want: 'http://shop.example/a/b',
  },
  { name: 'an IPv6 address', request: { authority: '[2001:db8::1]:8080' }, want: 'http://[2001:db8::1]/a/b' },
  { name: 'no authority', request: { authority: '', path: '//evil/x' }, want: 'http://cart.shop.svc.cluster.local//evil/x' },
  { name: 'a path', redirect: { path: { from: null, to: '/x' } }, request: { query: 'q=1' }, want: 'http://shop.example/x?q=1' },
  { name: 'a prefix', redirect: { path: { from: '/a', to: '/x' } }, want: 'http://shop.example/x/b' },
  {
    name: "of a VirtualService: the client's port stays",
    redirect: { portFrom: 'authority' },
    request: { authority: 'shop.example:8080' },
    want: 'http://shop.example:8080/a/b',
  },
  {
    name: 'of a VirtualService: but not at another host',
    redirect: { portFrom: 'authority', hostname: 'a.example' },
    request: { authority: 'shop.example:8080', port: 8080 },
    want: 'http://a.example/a/b',
  },
  {
    name: 'of a VirtualService: nor with another scheme',
    redirect: { portFrom: 'authority', scheme: 'https' },
    request: { authority: 'shop.example:8080' },
    want: 'https://shop.example/a/b',
  },
  {
    name: 'the port that was dialled',
    redirect: { portFrom: 'request' },
    request: { port: 81 },
    want: 'http://shop.example:81/a/b',
  },
  { name: 'the port of the scheme', redirect: { portFrom: 'scheme' }, request: { port: 81 }, want: 'http://shop.example/a/b' },
];

for (const { name, redirect, request, want } of CASES)
  test(`redirect (config-api 1.8): ${name}`, () =>
    assert.equal(redirectLocation({ ...NOTHING, ...redirect }, { ...REQUEST, ...request }), want));
