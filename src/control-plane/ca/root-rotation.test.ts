import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { splitCertificates } from '#protocol/ca/pem.ts';
import { createSigningRequest } from '#protocol/ca/signing-request.ts';
import { CertificateAuthority } from './authority.ts';
import { RootRotations } from './root-rotation.ts';

const HOUR_MS = 3_600_000;
const identity = parseIdentity('spiffe://cluster.local/ns/shop/sa/web');
const { csrPem } = await createSigningRequest(identity);

/** A control plane's authority, as of what the store says. */
async function opened(store: MemoryStore, clock: SteppedClock, overlapMs: number = CERTIFICATE.rootOverlapMs) {
  const trustDomain = 'cluster.local';
  const authority = await CertificateAuthority.open({ store, given: null, trustDomain, clock, log: SILENT_LOG });
  const shared = { authority, store, trustDomain, clock, log: SILENT_LOG };
  return { authority, rotations: new RootRotations({ ...shared, overlapMs, leads: () => true }) };
}

type Held = { leaf: X509Certificate; roots: X509Certificate[]; signedBy: string };

async function issued(authority: CertificateAuthority): Promise<Held> {
  const chain = await authority.issueWorkload(identity, csrPem, 0);
  const roots = splitCertificates(chain.at(-1) ?? '').map((pem) => new X509Certificate(pem));
  const leaf = new X509Certificate(chain[0] ?? '');
  const signedBy = roots.find((root) => isIssuedBy(leaf, root))?.fingerprint256 ?? '';
  return { leaf, roots, signedBy };
}

function isIssuedBy(leaf: X509Certificate, root: X509Certificate): boolean {
  return leaf.checkIssued(root) && leaf.verify(root.publicKey);
}

/** By name of the root, as its signature was checked when the certificate was issued. */
function trusts({ roots }: Held, { signedBy }: Held): boolean {
  return roots.some(({ fingerprint256 }) => fingerprint256 === signedBy);
}

/** Issues a certificate each hour while the root is replaced; how many pairs of valid ones refuse one another. */
async function refusalsOver(overlapMs: number): Promise<{ refusals: number; isOver: boolean }> {
  const [store, clock] = [new MemoryStore(), new SteppedClock()];
  const { authority, rotations } = await opened(store, clock, overlapMs);
  const before = authority.rootsPem;
  let held: Held[] = [await issued(authority)];
  await rotations.start();
  let refusals = 0;
  for (let hour = 0; hour < 80; hour++) {
    clock.advance(HOUR_MS);
    await rotations.advance();
    held = [...held, await issued(authority)].filter(({ leaf }) => leaf.validToDate.getTime() > clock.nowMs());
    for (const one of held) refusals += held.filter((other) => !trusts(one, other)).length;
  }
  return { refusals, isOver: splitCertificates(authority.rootsPem).length === 1 && authority.rootsPem !== before };
}

test('C77: while the root is replaced no two that hold valid certificates refuse one another, also such as renew at the last moment', async () => {
  assert.deepEqual(await refusalsOver(CERTIFICATE.rootOverlapMs), { refusals: 0, isOver: true });
  // What the steps are so long for.
  assert.notEqual((await refusalsOver(12 * HOUR_MS)).refusals, 0);
});

test('C77: another rotation waits until the first is over', async () => {
  const [store, clock] = [new MemoryStore(), new SteppedClock()];
  const { authority, rotations } = await opened(store, clock);
  const [first] = splitCertificates(authority.rootsPem);
  await rotations.start();
  await assert.rejects(rotations.start(), { code: 'WEFT_CA_ROTATING' });
  assert.deepEqual(splitCertificates(authority.rootsPem)[0], first);
  for (const want of ['signing', 'done']) {
    clock.advance(CERTIFICATE.rootOverlapMs - 1);
    await rotations.advance();
    assert.notEqual(rotations.state()?.step, want);
    clock.advance(1);
    await rotations.advance();
    assert.equal(rotations.state()?.step, want);
  }
  await rotations.start();
  assert.equal(rotations.state()?.step, 'distributing');
});

/** A store that breaks off before the nth thing that is written from now on. */
class CutOff extends MemoryStore {
  left = Number.POSITIVE_INFINITY;
  override async write(name: string, text: string, options: { secret: boolean }): Promise<void> {
    this.#count();
    return super.write(name, text, options);
  }
  override async remove(name: string): Promise<void> {
    this.#count();
    return super.remove(name);
  }
  #count(): void {
    if (this.left-- <= 0) throw new Error('cut off');
  }
}

test('C77: cut off at any write, it goes on from what is kept: the root that was trusted is so until the next one signs', async () => {
  let cuts = 0;
  for (let at = 0; ; at++) {
    const [store, clock] = [new CutOff(), new SteppedClock()];
    let { authority, rotations } = await opened(store, clock);
    const former = new X509Certificate(authority.rootsPem);
    store.left = at;
    let wasCut = false;
    const attempt = async (act: () => Promise<void>): Promise<void> => {
      const held = await issued(authority);
      try {
        await act();
      } catch (error) {
        assert.match(String(error), /cut off/);
        wasCut = true;
        store.left = Number.POSITIVE_INFINITY;
        ({ authority, rotations } = await opened(store, clock)); // the next start
        await rotations.advance();
        const next = await issued(authority);
        assert.ok(trusts(next, held), `write ${at}: what was issued before is refused`);
        if (rotations.state() === null) await rotations.start();
      }
    };
    await attempt(() => rotations.start());
    for (let step = 0; step < 2; step++) {
      clock.advance(CERTIFICATE.rootOverlapMs);
      await attempt(() => rotations.advance());
    }
    clock.advance(CERTIFICATE.rootOverlapMs);
    await rotations.advance();
    assert.equal(rotations.state()?.step, 'done', `write ${at}`);
    const [root, ...others] = splitCertificates(store.texts.get('root-cert.pem') ?? '');
    assert.deepEqual([root, others], [authority.rootsPem, []], `write ${at}`);
    assert.notEqual(new X509Certificate(root ?? '').fingerprint256, former.fingerprint256);
    assert.ok(new X509Certificate(root ?? '').checkPrivateKey(createPrivateKey(store.texts.get('root-key.pem') ?? '')));
    assert.deepEqual([...store.texts.keys()].sort(), ['root-cert.pem', 'root-key.pem', 'root-rotation.json'], `write ${at}`);
    assert.deepEqual([...store.secrets], ['root-key.pem']);
    if (!wasCut) break;
    cuts += 1;
  }
  assert.equal(cuts, 9); // 3 to begin, 4 to sign, 2 to withdraw
});

test('C77: what is kept of a rotation and cannot be read is not guessed', async () => {
  const [store, clock] = [new MemoryStore(), new SteppedClock()];
  const { rotations } = await opened(store, clock);
  await rotations.start();
  store.texts.set('root-rotation.json', '{"step":"signing"}');
  await assert.rejects(opened(store, clock), { code: 'WEFT_CA_SIGNER', message: /which root is trusted is not known/ });
  store.texts.delete('root-rotation.json');
  await opened(store, clock); // as the remedy says
});

test("C77: the server's certificate leads to the former root for who knows that alone, and to the next for who has both (openssl)", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'weft-rotation-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const [store, clock] = [new MemoryStore(), new SteppedClock()];
  const { authority, rotations } = await opened(store, clock);
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(dir, name), text);
    return join(dir, name);
  };
  const former = await file('former.pem', authority.rootsPem);
  const verifies = async (roots: string): Promise<boolean> => {
    const { chainPem } = await authority.issueServer({ dnsNames: ['control.example'], ips: [] });
    const [leaf = '', ...above] = splitCertificates(chainPem);
    const between = above.length === 0 ? [] : ['-untrusted', await file('above.pem', above.join(''))];
    const files = ['-CAfile', roots, ...between, await file('leaf.pem', leaf)];
    const at = ['-attime', String(Math.floor(clock.nowMs() / 1_000)), '-no-CApath', '-no-CAstore', '-x509_strict'];
    const asked = promisify(execFile)('openssl', ['verify', ...at, '-purpose', 'sslserver', ...files]);
    return asked.then(
      () => true,
      () => false,
    );
  };
  await rotations.start();
  const both = await file('both.pem', authority.rootsPem);
  const next = await file('next.pem', splitCertificates(authority.rootsPem)[1] ?? '');
  assert.deepEqual([await verifies(former), await verifies(both), await verifies(next)], [true, true, false]);
  for (const step of ['signing', 'done']) {
    clock.advance(CERTIFICATE.rootOverlapMs);
    await rotations.advance();
    assert.deepEqual([step, await verifies(former), await verifies(both), await verifies(next)], [step, true, true, true]);
  }
});
