import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import test from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Proof } from '#control-plane/authentication/authenticator.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { IstioCertificateRequestSchema } from '#proto/ca_pb.js';
import { createSigningRequest } from '#protocol/ca/signing-request.ts';
import { CertificateAuthority } from './authority.ts';
import { authorizeIdentity, createCertificate, type IdentityDirectory } from './create-certificate.ts';

const DAY_SECONDS = 86_400;
const GRANT: NodeGrant = { identities: ['shop/*'], addresses: [], waypoints: false };
const agent: Proof = { namespace: 'weft-system', serviceAccount: 'weft-agent', node: 'node-1', grant: GRANT, untilMs: null };
const waypoint: Proof = { namespace: 'shop', serviceAccount: 'waypoint', node: null, grant: null, untilMs: null };
const ON_NODE_1 = ['shop/sa/ratings', 'bank/sa/vault', 'shop/sa/waypoint', 'weft-system/sa/weft-agent'].map(
  (name) => `spiffe://cluster.local/ns/${name}`,
);
const directory: IdentityDirectory = {
  trustDomain: 'cluster.local',
  reserved: { rootNamespace: 'weft-system', isWaypoint: ({ serviceAccount }) => serviceAccount === 'waypoint' },
  nodes: { identitiesOnNode: (node) => new Set(node === 'node-1' ? ON_NODE_1 : []), appears: async () => {} },
};

const decisions: { id: string; name: string; caller: Proof; requested: string; want: string | RegExp }[] = [
  {
    id: 'C19',
    name: 'an agent gets the identity of a workload on its node',
    caller: agent,
    requested: 'spiffe://cluster.local/ns/shop/sa/ratings',
    want: 'spiffe://cluster.local/ns/shop/sa/ratings',
  },
  {
    id: 'C19',
    name: 'not one that runs on another node only',
    caller: { ...agent, node: 'node-2' },
    requested: 'spiffe://cluster.local/ns/shop/sa/ratings',
    want: /runs on node node-2/,
  },
  {
    id: 'C19',
    name: 'not one that runs nowhere',
    caller: agent,
    requested: 'spiffe://cluster.local/ns/shop/sa/admin',
    want: /no workload of/,
  },
  {
    id: 'C19',
    name: 'not its own, unasked: no workload is an agent',
    caller: agent,
    requested: '',
    want: /the mesh's own identity/,
  },
  {
    id: 'C19',
    name: 'not its own, asked for',
    caller: { ...agent, grant: { ...GRANT, identities: ['*/*', 'weft-system/weft-agent'] } },
    requested: 'spiffe://cluster.local/ns/weft-system/sa/weft-agent',
    want: /the mesh's own identity/,
  },
  {
    id: 'C19',
    name: 'not one that runs on its node and that its token does not name',
    caller: agent,
    requested: 'spiffe://cluster.local/ns/bank/sa/vault',
    want: /not for identity bank\/vault/,
  },
  {
    id: 'C19',
    name: 'none at all with a token that names none',
    caller: { ...agent, grant: null },
    requested: 'spiffe://cluster.local/ns/shop/sa/ratings',
    want: /only for none/,
  },
  {
    id: 'C19',
    name: "not a waypoint's without being for waypoints",
    caller: agent,
    requested: 'spiffe://cluster.local/ns/shop/sa/waypoint',
    want: /identity of a waypoint/,
  },
  {
    id: 'C19',
    name: 'a waypoint whose Gateway is gone gets nothing more',
    caller: { ...waypoint, serviceAccount: 'former' },
    requested: '',
    want: /no waypoint \(any more\)/,
  },
  {
    id: 'C19',
    name: 'a waypoint gets its own',
    caller: waypoint,
    requested: 'spiffe://cluster.local/ns/shop/sa/waypoint',
    want: 'spiffe://cluster.local/ns/shop/sa/waypoint',
  },
  {
    id: 'C19',
    name: 'a waypoint gets no other',
    caller: waypoint,
    requested: 'spiffe://cluster.local/ns/shop/sa/ratings',
    want: /only ask for itself/,
  },
  {
    id: 'C22',
    name: 'a foreign trust domain is refused',
    caller: agent,
    requested: 'spiffe://evil.example/ns/shop/sa/ratings',
    want: /another trust domain/,
  },
  {
    id: 'C22',
    name: 'a foreign trust domain is refused for oneself too',
    caller: waypoint,
    requested: 'spiffe://evil.example/ns/shop/sa/waypoint',
    want: /another trust domain/,
  },
  {
    id: 'C19',
    name: 'what is no identity is refused',
    caller: agent,
    requested: 'spiffe://cluster.local/ns/shop/sa/ratings/x',
    want: /not a workload identity/,
  },
];
for (const { id, name, caller, requested, want } of decisions) {
  test(`${id}: ${name}`, () => {
    const decision = authorizeIdentity(caller, requested, directory);
    if (typeof want === 'string') assert.deepEqual(decision, { kind: 'granted', identity: parseIdentity(want) });
    else assert.match(decision.kind === 'refused' ? decision.why : 'granted', want);
  });
}

async function opened(store = new MemoryStore()) {
  const clock = new SteppedClock();
  const authority = await CertificateAuthority.open({ store, given: null, trustDomain: 'cluster.local', clock, log: SILENT_LOG });
  return { store, clock, authority };
}

type RequestInit = MessageInitShape<typeof IstioCertificateRequestSchema>;
const { csrPem } = await createSigningRequest(parseIdentity('spiffe://cluster.local/ns/shop/sa/other'));

async function ask(authority: CertificateAuthority, changes: RequestInit = {}, caller = agent): Promise<X509Certificate> {
  const request = create(IstioCertificateRequestSchema, {
    csr: csrPem,
    metadata: { ImpersonatedIdentity: 'spiffe://cluster.local/ns/shop/sa/ratings' },
    ...changes,
  });
  const { certChain } = await createCertificate(
    { caller, request },
    { authority, directory, refused: () => {}, log: SILENT_LOG },
  );
  return new X509Certificate(certChain[0] ?? '');
}

test('C20: the CSR names another identity, the certificate names the authorized one', async () => {
  const { authority } = await opened();
  assert.equal((await ask(authority)).subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/ratings');
});

test('C21: a lifetime of 0 means 24 h, from two minutes ago; whoever asks for up to 90 days is given 24 h, for more nothing', async () => {
  const { authority, clock } = await opened();
  const lifetimes: [bigint, number][] = [
    [0n, DAY_SECONDS],
    [-5n, DAY_SECONDS],
    [60n, 60],
    [BigInt(90 * DAY_SECONDS), DAY_SECONDS],
  ];
  for (const [validityDuration, seconds] of lifetimes) {
    const leaf = await ask(authority, { validityDuration });
    assert.deepEqual(
      [leaf.validFromDate.getTime(), leaf.validToDate.getTime()],
      [clock.nowMs() - 120_000, clock.nowMs() + seconds * 1_000],
    );
  }
  await assert.rejects(ask(authority, { validityDuration: BigInt(90 * DAY_SECONDS + 1) }), { status: 'invalid-argument' });
});

test('a bad CSR is an invalid argument', async () => {
  const { authority } = await opened();
  await assert.rejects(ask(authority, { csr: 'nonsense' }), { status: 'invalid-argument' });
});

test('C19, C22: a refusal tells the peer nothing', async () => {
  const { authority } = await opened();
  const metadata = { ImpersonatedIdentity: 'spiffe://evil.example/ns/shop/sa/ratings' };
  await assert.rejects(ask(authority, { metadata }), { status: 'unauthenticated', message: 'request authentication failure' });
});

test('the root is made once and kept, its key as a secret', async () => {
  const { store, authority } = await opened();
  const again = await opened(store);
  assert.equal(again.authority.rootsPem, authority.rootsPem);
  assert.deepEqual([...store.texts.keys()].sort(), ['root-cert.pem', 'root-key.pem']);
});

test('a root whose key is lost is not replaced in silence', async () => {
  const { store } = await opened();
  store.texts.delete('root-key.pem');
  await assert.rejects(opened(store), { code: 'WEFT_CA_SIGNER', message: /root-key.pem is not/ });
});

test('a first start that was cut off between key and certificate begins again', async () => {
  const { store } = await opened();
  store.texts.delete('root-cert.pem');
  assert.match((await opened(store)).authority.rootsPem, /BEGIN CERTIFICATE/);
});

test("the server's certificate carries its names and leads to the root", async () => {
  const { authority } = await opened();
  const { chainPem } = await authority.issueServer({ dnsNames: ['weft.example'], ips: ['10.0.0.1', 'fd00::1'] });
  const leaf = new X509Certificate(chainPem);
  assert.ok(
    leaf.checkHost('weft.example') !== undefined &&
      leaf.checkIP('10.0.0.1') !== undefined &&
      leaf.checkIP('fd00::1') !== undefined,
  );
  assert.ok(leaf.verify(new X509Certificate(authority.rootsPem).publicKey));
});
