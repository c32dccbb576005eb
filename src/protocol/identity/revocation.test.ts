import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { type Certified, OpensslAuthority, rootOf, workloadExtensions } from '#platform/io/tls/authority.testing.ts';
import { parseRevocationLists, Revocations } from './revocation.ts';

const authority = new OpensslAuthority();
after(() => authority.remove());
const root = rootOf(authority);
const middle = authority.issue({ issuer: root, subject: '/CN=middle' });
const issue = (name: string) =>
  authority.issue({ issuer: middle, extensions: workloadExtensions(`spiffe://td.local/ns/shop/sa/${name}`) });
const [web, cart] = [issue('web'), issue('cart')];

/** A list as the openssl command makes one. */
function listOf(issuer: Certified, revoked: readonly Certified[], form: 'PEM' | 'DER' = 'PEM'): Buffer {
  const run = (...args: string[]) => execFileSync('openssl', args, { cwd: authority.directory, stdio: 'pipe' });
  const signer = ['-config', 'config', '-cert', issuer.certificateFile, '-keyfile', issuer.keyFile, '-md', 'sha256'];
  for (const { certificateFile } of revoked) run('ca', ...signer, '-revoke', certificateFile);
  run('ca', ...signer, '-gencrl', '-crldays', '1', '-out', 'list.pem');
  run('crl', '-in', 'list.pem', '-outform', form, '-out', 'list');
  return readFileSync(`${authority.directory}/list`);
}

const chainOf = (...certificates: Certified[]): Buffer[] => certificates.map(({ pem }) => new X509Certificate(pem).raw);

test('B60: who is on a list of his issuer is revoked, in PEM and DER, at any depth of the chain; others are not', () => {
  const revocations = new Revocations();
  const [webs, carts] = [chainOf(web, middle, root), chainOf(cart, middle, root)];
  revocations.update(parseRevocationLists(listOf(middle, [])));
  assert.equal(revocations.isRevoked(webs), false, 'an empty list');
  for (const form of ['PEM', 'DER'] as const) {
    revocations.update(parseRevocationLists(listOf(middle, form === 'PEM' ? [web] : [], form)));
    assert.deepEqual([revocations.isRevoked(webs), revocations.isRevoked(carts)], [true, false], form);
  }
  assert.equal(revocations.isRevoked(chainOf(web)), false, 'nobody is there who could have signed the list');
  revocations.update(parseRevocationLists(Buffer.concat([listOf(middle, []), listOf(root, [middle])])));
  assert.deepEqual([revocations.isRevoked(webs), revocations.isRevoked(carts)], [true, true], 'with their authority');
});

test('B60: a list that another key signed in the name of the issuer revokes nobody', () => {
  const stranger = authority.issue({ issuer: null, subject: '/CN=middle' });
  const revocations = new Revocations();
  revocations.update(parseRevocationLists(listOf(stranger, []))); // the register of the test knows web as revoked
  assert.equal(revocations.isRevoked(chainOf(web, middle, root)), false);
});

test('B60: another list cuts who is followed and on it, once, and nobody who has left', () => {
  const revocations = new Revocations();
  const cut: string[] = [];
  revocations.follow(chainOf(web, middle, root), () => cut.push('web'));
  revocations.follow(chainOf(web, middle, root), () => cut.push('gone'))();
  revocations.follow(chainOf(root), () => cut.push('root'));
  const lists = parseRevocationLists(listOf(middle, []));
  assert.deepEqual([revocations.update(lists), revocations.update(lists), cut], [1, 0, ['web']]);
});

test('what is no list is named as such, and cut-off ones never read past their end', () => {
  for (const bytes of [
    Buffer.from('text'),
    Buffer.alloc(0),
    Buffer.from('3003020100', 'hex'),
    Buffer.from('30840000ffff', 'hex'),
  ])
    assert.throws(() => parseRevocationLists(bytes), { code: 'WEFT_CRL' });
  const whole = listOf(middle, [], 'DER');
  for (let length = 0; length < whole.length; length += 7)
    assert.throws(() => parseRevocationLists(whole.subarray(0, length)), { code: 'WEFT_CRL' }, String(length));
});
