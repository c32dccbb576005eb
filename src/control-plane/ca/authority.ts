import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import type { Identity } from '#model/identity/identity.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { type AcceptedRequest, createServerKey, readSigningRequest } from '#protocol/ca/accepted-request.ts';
import { type CertificateSubject, issueLeaf, replyChain } from '#protocol/ca/issue.ts';
import { createRoot, loadSigner, type Signer, type SignerFiles } from '#protocol/ca/signer.ts';
import { RpcError } from '#protocol/xds/resource-fault.ts';

const ROOT_NAME = 'root-cert.pem';
const ROOT_KEY_NAME = 'root-key.pem';
/** What every replica needs of the state, unless it is given a signer. */
export const ROOT_NAMES: readonly string[] = [ROOT_NAME, ROOT_KEY_NAME];

/** A TLS server's certificate, leaf first, and its key. */
export type ServerCertificate = { chainPem: string; privateKeyPem: string; notBeforeMs: number; notAfterMs: number };

/** Signs the mesh's certificates, with a root of its own or a given intermediate. */
export class CertificateAuthority {
  readonly #signer: Signer;
  readonly #clock: Clock;

  private constructor(signer: Signer, clock: Clock) {
    this.#signer = signer;
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
    const files = given ?? (await keptRoot(store)) ?? (await newRoot(store, trustDomain, clock, log));
    return new CertificateAuthority(await loadSigner(files, clock.nowMs()), clock);
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
    return { chainPem: [leaf, ...this.#signer.intermediatesPem].join(''), privateKeyPem, notBeforeMs, notAfterMs };
  }

  async #issue(request: AcceptedRequest, subject: CertificateSubject, ttlMs: number): Promise<string> {
    return issueLeaf(this.#signer, { request, subject, ttlMs, nowMs: this.#clock.nowMs() });
  }
}

async function keptRoot(store: StateStore): Promise<SignerFiles | null> {
  const [certificatePem, privateKeyPem] = await Promise.all([store.read(ROOT_NAME), store.read(ROOT_KEY_NAME)]);
  // The key is written first, so a key alone is a first start that did not finish.
  if (certificatePem === null) return null;
  if (privateKeyPem === null) {
    // A new root in its place would cut off every agent that trusts the old one, without a word.
    throw new WeftError('WEFT_CA_SIGNER', `${ROOT_NAME} is in the state directory, but its key ${ROOT_KEY_NAME} is not`, {
      remedy: 'restore the key from a backup; or remove the certificate too, and give every agent the new root and a new token',
    });
  }
  return { certificatePem, privateKeyPem, rootsPem: certificatePem };
}

async function newRoot(store: StateStore, trustDomain: string, clock: Clock, log: Log): Promise<SignerFiles> {
  const { certificatePem, privateKeyPem } = await createRoot(trustDomain, clock.nowMs());
  await store.write(ROOT_KEY_NAME, privateKeyPem, { secret: true });
  await store.write(ROOT_NAME, certificatePem, { secret: false });
  log.info({ trust_domain: trustDomain }, 'made a new root certificate');
  return { certificatePem, privateKeyPem, rootsPem: certificatePem };
}
