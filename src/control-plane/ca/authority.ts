import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import type { Identity } from '#model/identity/identity.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { type AcceptedRequest, createServerKey, readSigningRequest } from '#protocol/ca/accepted-request.ts';
import { type CertificateSubject, issueLeaf, replyChain } from '#protocol/ca/issue.ts';
import { createRoot, loadSigner, type Signer, type SignerFiles } from '#protocol/ca/signer.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';
import { type KeptRoots, readRoots, writeFirstRoot } from './kept-roots.ts';

/** A TLS server's certificate, leaf first, and its key. */
export type ServerCertificate = { chainPem: string; privateKeyPem: string; notBeforeMs: number; notAfterMs: number };

/** Signs the mesh's certificates, with a root of its own or a given intermediate. */
export class CertificateAuthority {
  /** Another signs from now on, or others are trusted. */
  onChange: () => void = () => {};
  /** Takes the roots that another replica has written. */
  followRoots: () => Promise<void> = async () => {};
  readonly #clock: Clock;
  #signer: Signer;
  #used: { files: SignerFiles; crossPem: string };

  private constructor(signer: Signer, used: { files: SignerFiles; crossPem: string }, clock: Clock) {
    this.#signer = signer;
    this.#used = used;
    this.#clock = clock;
  }

  /**
   * Uses `given`, or the root in the store, which is made on first start.
   * Errors: WEFT_CA_SIGNER when either cannot be used, WEFT_STATE_DIR when the root cannot be kept.
   */
  static async open(options: {
    store: StateStore;
    given: SignerFiles | null;
    trustDomain: string;
    clock: Clock;
    log: Log;
  }): Promise<CertificateAuthority> {
    const { store, given, trustDomain, clock, log } = options;
    const own = async () => (await readRoots(store)) ?? newRoot(store, trustDomain, clock, log);
    const { files, crossPem } = given === null ? await own() : { files: given, crossPem: '' };
    return new CertificateAuthority(await loadSigner(files, clock.nowMs()), { files, crossPem }, clock);
  }

  /**
   * Signs with these from now on; what was issued before stays as good as its roots. `crossPem`: goes with the server's own
   * certificate, for clients that know the former root alone. Errors: WEFT_CA_SIGNER, and what signed before goes on.
   */
  async use(files: SignerFiles, crossPem: string): Promise<void> {
    const { files: before } = this.#used;
    const isSame = before.certificatePem === files.certificatePem && before.rootsPem === files.rootsPem;
    if (isSame && before.privateKeyPem === files.privateKeyPem && this.#used.crossPem === crossPem) return;
    this.#signer = await loadSigner(files, this.#clock.nowMs());
    this.#used = { files, crossPem };
    this.onChange();
  }

  /** All roots in one PEM text: what clients verify the control plane and one another with. */
  get rootsPem(): string {
    return this.#signer.rootsPem.join('');
  }

  /**
   * [leaf, intermediates…, roots] for `identity`. ttlSeconds: 0 or less for the default of 24 h, which is also the most that is
   * given: who asks for more gets that. Errors: RpcError invalid-argument for an unusable CSR or more than 90 days (C21).
   */
  async issueWorkload(identity: Identity, csrPem: string, ttlSeconds: number): Promise<string[]> {
    const ttlMs = ttlSeconds <= 0 ? CERTIFICATE.defaultLifetimeMs : ttlSeconds * 1_000;
    if (ttlMs > CERTIFICATE.lifetimeMaxMs)
      throw new RpcError('invalid-argument', `a lifetime of ${ttlSeconds} s is more than ${CERTIFICATE.lifetimeMaxMs / 1_000} s`);
    const request = await readSigningRequest(csrPem).catch((error: unknown): never => {
      throw new RpcError('invalid-argument', error instanceof Error ? error.message : 'bad certificate request', {
        cause: error,
      });
    });
    // Nothing takes a certificate back: what a stolen token obtained is to end by itself.
    const grantedMs = Math.min(ttlMs, CERTIFICATE.lifetimeGrantedMaxMs);
    return replyChain(this.#signer, await this.#issue(request, { kind: 'workload', identity }, grantedMs));
  }

  /** A certificate for the control plane's own server, with a new key. */
  async issueServer(names: { dnsNames: readonly string[]; ips: readonly string[] }): Promise<ServerCertificate> {
    const { publicKey, privateKeyPem } = await createServerKey();
    const notBeforeMs = this.#clock.nowMs();
    const leaf = await this.#issue(
      { publicKey, hasCommonName: false },
      { kind: 'server', ...names },
      CERTIFICATE.defaultLifetimeMs,
    );
    const notAfterMs = Math.min(notBeforeMs + CERTIFICATE.defaultLifetimeMs, this.#signer.certificate.notAfter.getTime());
    const chainPem = [leaf, ...this.#signer.intermediatesPem, this.#used.crossPem].join('');
    return { chainPem, privateKeyPem, notBeforeMs, notAfterMs };
  }

  async #issue(request: AcceptedRequest, subject: CertificateSubject, ttlMs: number): Promise<string> {
    return issueLeaf(this.#signer, { request, subject, ttlMs, nowMs: this.#clock.nowMs() });
  }
}

async function newRoot(store: StateStore, trustDomain: string, clock: Clock, log: Log): Promise<KeptRoots> {
  const root = await createRoot(trustDomain, clock.nowMs());
  const files = { ...root, rootsPem: root.certificatePem };
  await writeFirstRoot(store, files);
  log.info({ trust_domain: trustDomain }, 'made a new root certificate');
  return { files, crossPem: '', rotation: null };
}
