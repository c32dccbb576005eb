import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { CertificateAuthority } from '#control-plane/ca/authority.ts';
import { followGivenSigner } from '#control-plane/ca/given-signer.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { systemClock } from '#platform/clock.ts';
import { readSignerFiles } from '#platform/files/signer-files.ts';
import { CaClient } from '#platform/grpc/control-clients.ts';
import { controlClient } from '#platform/local-api/clients.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import { splitCertificates } from '#protocol/ca/pem.ts';
import { createRoot, crossSign, loadSigner } from '#protocol/ca/signer.ts';
import { closeAfter, endpointOf, eventually, follower, place, started } from './control-rig.testing.ts';

const RATINGS = parseIdentity('spiffe://cluster.local/ns/shop/sa/ratings');

/** Waits until the file that people copy has these roots alone: it is written after they are in force. */
async function untilKept(stateDir: string, rootsPem: string): Promise<void> {
  while ((await readFile(join(stateDir, 'root-cert.pem'), 'utf8')) !== rootsPem) await new Promise(setImmediate);
}

test('C77: the root is replaced while clients follow: no stream ends, a file with the former root goes on working, a restart goes on', async (t) => {
  const where = await place(t);
  const told: string[] = [];
  const options = { rootOverlapMs: 300, onRoots: (rootsPem: string) => void told.push(rootsPem) };
  const control = await started(where, options);
  const former = control.rootsPem;
  const endpoint = { ...(await endpointOf(control, 'node-1')), rootsPem: async () => former };
  const live = follower(t, endpoint);
  await live.client.synced;
  const api = controlClient(where.socketPath);
  const { rotation, roots } = await api.ca();
  assert.deepEqual([rotation, roots.length], [null, 1]);
  await api.rotateRoot();
  await eventually(() => told.length === 4);
  const next = control.rootsPem;
  assert.deepEqual(told, [former, former + next, next + former, next]);
  await untilKept(where.stateDir, next);
  assert.deepEqual([live.client.status().connected, live.connects()], [true, 1]);
  // With the former root alone, as in a file that nobody has replaced.
  const client = new CaClient(endpoint, { impersonate: true });
  const cache = new CertificateCache({ fetch: client.fetch, clock: systemClock, random: () => 0, log: SILENT_LOG });
  closeAfter(t, client, cache);
  const { rootsPem, chainPem } = await cache.get(RATINGS);
  assert.deepEqual(rootsPem, [next]);
  assert.ok(new X509Certificate(chainPem).verify(new X509Certificate(next).publicKey));
  await control.stop({ waypoints: false });
  const again = await started(where, options);
  assert.equal(again.rootsPem, next);
  assert.equal((await controlClient(where.socketPath).ca()).rotation, null);
});

/** A directory as Istio's secret cacerts: an intermediate below a root of its own. `withRoot`: the chain has the root, too. */
async function caDirectory(dir: string, name: string, withRoot: boolean) {
  const nowMs = Date.now();
  const root = await createRoot('corp', nowMs, `${name} root`);
  const below = await createRoot('corp', nowMs, `${name} intermediate`);
  const signer = await loadSigner({ ...root, rootsPem: root.certificatePem }, nowMs);
  const certificatePem = await crossSign(signer, below.certificatePem);
  await mkdir(dir, { recursive: true });
  const write = (file: string, text: string) => writeFile(join(dir, file), text, { mode: 0o600 });
  await write('ca-cert.pem', certificatePem);
  await write('ca-key.pem', below.privateKeyPem);
  await write('cert-chain.pem', certificatePem + (withRoot ? root.certificatePem : ''));
  await write('root-cert.pem', root.certificatePem);
  return { certificatePem, rootPem: root.certificatePem };
}

for (const withRoot of [false, true]) {
  test(`C78: a given intermediate signs, with ${withRoot ? 'a chain to the root' : 'itself as its chain'}; Weft does not replace its root`, async (t) => {
    const where = await place(t);
    const caDir = join(where.configDir, '..', 'cacerts');
    const { certificatePem, rootPem } = await caDirectory(caDir, 'one', withRoot);
    const control = await started(where, { signer: () => readSignerFiles(caDir) });
    assert.equal(control.rootsPem, rootPem);
    const client = new CaClient(await endpointOf(control, 'node-1'), { impersonate: true }); // the server's chain leads to the root
    const cache = new CertificateCache({ fetch: client.fetch, clock: systemClock, random: () => 0, log: SILENT_LOG });
    closeAfter(t, client, cache);
    const { chainPem, rootsPem } = await cache.get(RATINGS);
    assert.deepEqual([splitCertificates(chainPem)[1], rootsPem], [certificatePem, [rootPem]]);
    const api = controlClient(where.socketPath);
    assert.equal((await api.ca()).signer, 'given');
    await assert.rejects(api.rotateRoot(), { code: 'WEFT_CA_GIVEN' });
  });
}

test('C78: a signer that is replaced signs from the next look on; one that cannot be used leaves the former, and is told once', async (t) => {
  const where = await place(t);
  const caDir = join(where.configDir, '..', 'cacerts');
  const first = await caDirectory(caDir, 'one', true);
  const read = () => readSignerFiles(caDir);
  const clock = new SteppedClock(Date.now());
  const authority = await CertificateAuthority.open({
    ...{ store: new MemoryStore(), given: await read(), trustDomain: 'cluster.local', clock, log: SILENT_LOG },
  });
  let looks = 0;
  const errors: string[] = [];
  const log = { ...SILENT_LOG, error: (fields: { err?: unknown }) => errors.push(String(fields.err)) };
  const counted = async () => {
    const files = await read().finally(() => {
      looks += 1;
    });
    return files;
  };
  const stop = followGivenSigner(counted, authority, clock, log as typeof SILENT_LOG);
  t.after(stop);
  const look = async () => {
    const before = looks;
    // Again if need be: one that begins while the last is under way is left out.
    await eventually(() => {
      clock.advance(CERTIFICATE.rootLookMs);
      return looks > before;
    });
  };
  await writeFile(join(caDir, 'ca-key.pem'), 'nonsense');
  for (let at = 0; at < 3; at++) await look();
  await eventually(() => errors.length > 0);
  assert.match(errors[0] ?? '', /private key cannot be read/);
  assert.equal(authority.rootsPem, first.rootPem);
  const second = await caDirectory(caDir, 'two', false);
  await look();
  await eventually(() => authority.rootsPem === second.rootPem);
  assert.equal(errors.length, 1);
});

test('C78: a file that is missing is named', async (t) => {
  const { configDir } = await place(t);
  await assert.rejects(readSignerFiles(configDir), {
    code: 'WEFT_CA_SIGNER',
    message: /ca-(cert|key)\.pem cannot be read|root-cert/,
  });
});
