import { get, NOTHING, request, type SmugglingCase } from './smuggling-cases.testing.ts';

const HOSTS = ['', 'a b', 'a/b', 'a/../b', 'secret@a', 'a,secret', 'a\\secret', 'a?', 'a#', '[::1', 'a:b', 'a:80:80', 'a\xe1'];

/** Whose the request is. */
export const AUTHORITIES: readonly SmugglingCase[] = [
  ...HOSTS.map(
    (host): SmugglingCase => [
      `a host of ${JSON.stringify(host)}`,
      `GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      '400 close',
      NOTHING,
    ],
  ),
  ['no host', 'GET /x HTTP/1.1\r\n\r\n', '400 close', NOTHING],
  ['two hosts', get('/x', 'Host: secret'), '400 close', NOTHING],
  ['two hosts that are the same', get('/x', 'Host: a'), '400 close', NOTHING],
  ['a host that policy refuses', 'GET /x HTTP/1.1\r\nHost: secret\r\n\r\n', '403', NOTHING],
  ['the same in capitals', 'GET /x HTTP/1.1\r\nHost: SECRET\r\n\r\n', '403', NOTHING],
  ['a target with an authority goes before the host', get('http://secret/x'), '403', NOTHING],
  ['the app gets the authority of the target', get('http://b/x'), '200', 'GET /x b []'],
  ['a target without a path', get('http://b'), '200', 'GET / b []'],
  ['a target with a query only', get('http://b?/admin'), '200', 'GET /?/admin b []'],
  ['a target with a fragment only', get('http://b#/x'), '200', 'GET / b []'],
  ['a target with a path that is refused', get('HTTP://b/y/../admin'), '403', NOTHING],
  ['a target with user information', get('http://secret@a/x'), '400 close', NOTHING],
  ['a target with a backslash for user information', get('http://a\\@secret/x'), '400 close', NOTHING],
  ['a target of another scheme', get('ftp://a/x'), '400 close', NOTHING],
  ['a target without a slash', get('x'), '400 close', NOTHING],
  ['a target that is a query', get('?x'), '400 close', NOTHING],
  ['an asterisk with GET', get('*'), '400 close', NOTHING],
  ['an asterisk with OPTIONS', request('OPTIONS * HTTP/1.1', [], ''), '200', 'OPTIONS * a []'],
  ['two slashes are a path, not an authority', get('//secret/x'), '200', 'GET //secret/x a []'],
  [
    'headers that speak of hosts and paths are only headers',
    get('/x', 'X-Forwarded-Host: secret', 'X-Original-URL: /admin', 'X-Rewrite-URL: /admin'),
    '200',
    'GET /x a []',
  ],
];

/** Paths, with the level BASE: what one is, to policy, to routes and to the app. */
export const PATHS: readonly SmugglingCase[] = [
  ...[
    '/admin',
    '/admin/',
    '/admin?x',
    '/admin#x',
    '/admin;x=1',
    '/admin%2fx',
    '/admin%20',
    '/a/../admin',
    '/./admin',
    '/../admin',
    '/%61dmin',
    '/%2e/admin',
    '/a/%2e%2e/admin',
    '/a/.%2E/admin',
    '/a\\..\\admin',
    '/a/..\\admin',
    '/a/b/../../admin',
    '/routed/../admin',
  ].map((path): SmugglingCase => [`${path} is refused`, get(path), '403', NOTHING]),
  ...[
    '/..;/admin',
    '/a/..;x=1/admin',
    '/a/..%3b/admin',
    '/a/..%2fadmin',
    '/a%2f..%2fadmin',
    '/a/..%5cadmin',
    '/admin%00',
    '/x%00',
    '/%c0%ae%c0%ae/admin',
    '/%e0%80%af',
    '/%2%65%2%65/admin',
    '/%%36%31dmin',
  ].map((path): SmugglingCase => [`${path} has no one meaning`, get(path), '400 close', NOTHING]),
  ...[
    '//admin',
    '/%2fadmin',
    '/%252e%252e/admin',
    '/;x/admin',
    '/ADMIN',
    '/x?/../admin',
    '/.../admin',
    '/%zz',
    '/x;y/z',
    '/x%3fy',
    '/x%23y',
  ].map((path): SmugglingCase => [`${path} is passed on as it came`, get(path), '200', `GET ${path} a []`]),
  ['a fragment is cut off', get('/x#/../admin'), '200', 'GET /x a []'],
  ['a dot segment behind the path that is refused', get('/admin/../x'), '200', 'GET /x a []'],
  ['a route sees what policy sees', get('/x/%2e%2e/rout%65d/y'), '200', 'GET /routed/y a [] routed'],
];

/** Paths, with the level DECODE_AND_MERGE_SLASHES. */
export const DECODED_PATHS: readonly SmugglingCase[] = [
  ...['//admin', '/%2fadmin', '/a%2f..%2fadmin', '/a/..%5cadmin', '/a%5c%2e%2e%5cadmin'].map(
    (path): SmugglingCase => [`${path} is refused`, get(path), '403', NOTHING],
  ),
  ...['/;/admin', '/;x/admin', '/a%2f..;%2fadmin'].map(
    (path): SmugglingCase => [`${path} has no one meaning`, get(path), '400 close', NOTHING],
  ),
  ['dot segments are resolved before slashes are merged', get('//a//..//admin'), '200', 'GET /a/admin a []'],
  ['doubled and escaped slashes are one', get('//x%2f%2fy'), '200', 'GET /x/y a []'],
];
