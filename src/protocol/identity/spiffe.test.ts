import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIdentity } from '#model/identity/identity.ts';
import { peerIdentities, uriSans, verifyClient, verifyServer } from './spiffe.ts';

const CART = 'spiffe://td.local/ns/shop/sa/cart';
const WEB = 'spiffe://td.local/ns/shop/sa/web';
const FOREIGN = 'spiffe://other.local/ns/shop/sa/cart';
const cart = parseIdentity(CART);
const web = parseIdentity(WEB);
const foreign = parseIdentity(FOREIGN);

const cases = [
  { name: 'one URI', text: `URI:${CART}`, want: [CART] },
  { name: 'URIs among other names, in order', text: `DNS:a.b, URI:${CART}, IP Address:10.0.0.1, URI:${WEB}`, want: [CART, WEB] },
  { name: 'an escaped DNS name is no concern', text: `DNS:"a\\u0000b", URI:${CART}`, want: [CART] },
  { name: 'no names', text: '', want: [] },
  { name: 'a URI with NUL spoils the certificate', text: `URI:"${CART}\\u0000.evil", URI:${WEB}`, want: null },
  { name: 'a name that holds another name spoils it', text: `URI:"x, URI:${CART}"`, want: null },
  { name: 'an unfinished quote spoils it', text: `DNS:"a, URI:${CART}`, want: null },
  { name: 'junk spoils it', text: `, URI:${CART}`, want: null },
];
for (const { name, text, want } of cases) test(`SAN: ${name}`, () => assert.deepEqual(uriSans(text), want));

test('identities are the parseable SPIFFE URIs', () => {
  assert.deepEqual(peerIdentities(`URI:https://a.b/c, URI:spiffe://td.local/x, URI:${CART}`), [cart]);
  assert.deepEqual(peerIdentities(undefined), []);
});

test('B4: a server is accepted by any of its identities, and named when it is not', () => {
  assert.deepEqual(verifyServer([web, cart], [cart]), { kind: 'accepted', peer: cart });
  const verdict = verifyServer([web], [cart]);
  assert.equal(verdict.kind, 'rejected');
  assert.match(verdict.kind === 'rejected' ? verdict.reason : '', /sa\/web; expected .*sa\/cart/);
  assert.equal(verifyServer([], [cart]).kind, 'rejected');
  assert.equal(verifyServer([cart], []).kind, 'rejected');
});

test('B3: a client of another trust domain is rejected, and the expected one named', () => {
  assert.deepEqual(verifyClient([cart], 'td.local'), { kind: 'accepted', peer: cart });
  const verdict = verifyClient([foreign], 'td.local');
  assert.match(verdict.kind === 'rejected' ? verdict.reason : '', /other\.local.*expected one of trust domain td\.local/);
  assert.equal(verifyClient([foreign, cart], 'td.local').kind, 'rejected');
  assert.equal(verifyClient([], 'td.local').kind, 'rejected');
});
