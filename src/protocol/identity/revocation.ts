import { verify, X509Certificate } from 'node:crypto';
import type { Cancel } from '#model/effects/clock.ts';
import { WeftError } from '#model/error.ts';
import { BIT_STRING, CONTEXT_0, children, elementAt, INTEGER, OBJECT_ID, SEQUENCE, textOf } from './der.ts';

/** One revocation list, as plain data. Names and numbers are the hex of their DER. */
export type RevocationList = {
  readonly issuer: string;
  readonly serials: readonly string[];
  /** What is signed, by what, and with which digest; null: the algorithm has its own. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly digest: string | null;
};

/** Object identifiers of signatures, as hex, with the digest that each takes. RFC 5758, 4055 and 8410. */
const DIGESTS: ReadonlyMap<string, string | null> = new Map([
  ['2a8648ce3d040302', 'sha256'],
  ['2a8648ce3d040303', 'sha384'],
  ['2a8648ce3d040304', 'sha512'],
  ['2a864886f70d01010b', 'sha256'],
  ['2a864886f70d01010c', 'sha384'],
  ['2a864886f70d01010d', 'sha512'],
  ['2b6570', null],
]);
const PEM_BLOCK = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----/g;

/** The lists of a file: PEM, several one after the other, or one in DER. Errors: WEFT_CRL. */
export function parseRevocationLists(bytes: Buffer): RevocationList[] {
  const blocks = [...bytes.toString('latin1').matchAll(PEM_BLOCK)].map(([, base64 = '']) => Buffer.from(base64, 'base64'));
  if (blocks.length === 0 && bytes[0] !== SEQUENCE) throw unreadable('it holds neither PEM blocks "X509 CRL" nor DER');
  return (blocks.length === 0 ? [bytes] : blocks).map(parseList);
}

function parseList(der: Buffer): RevocationList {
  try {
    const [list, algorithm, signature] = children(der, elementAt(der, 0));
    if (list?.tag !== SEQUENCE || algorithm === undefined || signature?.tag !== BIT_STRING) throw new Error('it is no list');
    const [oid] = children(der, algorithm);
    const digest = oid?.tag === OBJECT_ID ? DIGESTS.get(textOf(der, oid, false)) : undefined;
    if (digest === undefined) throw new Error('its signature is of a kind that is not known');
    // version, algorithm, issuer, times, entries, extensions: the first and the last three may be missing.
    const fields = children(der, list).filter(({ tag }, at) => at > 0 || tag !== INTEGER);
    const [, issuer, ...rest] = fields;
    if (issuer?.tag !== SEQUENCE) throw new Error('it names no issuer');
    const entries = rest.find(({ tag }) => tag === SEQUENCE);
    const revoked = entries === undefined ? [] : children(der, entries);
    return {
      issuer: textOf(der, issuer),
      serials: revoked.flatMap((entry) => children(der, entry).slice(0, 1)).map((serial) => textOf(der, serial, false)),
      signed: der.subarray(list.at, list.end),
      signature: der.subarray(signature.start + 1, signature.end), // its first byte counts unused bits
      digest,
    };
  } catch (cause) {
    throw unreadable(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function unreadable(why: string, cause?: unknown): WeftError {
  return new WeftError('WEFT_CRL', `the revocation list cannot be read: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    remedy: 'give lists as an authority signs them, in PEM or DER',
  });
}

type Followed = { readonly chain: readonly Buffer[]; cut(): void };

/**
 * Which certificates are revoked, for those who have peers: at a handshake, and of connections that are open when another
 * list comes. Of whom no list says anything passes, and so does who is on a list that his issuer has not signed (B60).
 */
export class Revocations {
  #lists = new Map<string, { readonly list: RevocationList; readonly serials: ReadonlySet<string> }[]>();
  readonly #followed = new Set<Followed>();

  /** From here on these lists hold, in the place of those before; returns how many connections they cut. */
  update(lists: readonly RevocationList[]): number {
    const kept = lists.map((list) => ({ list, serials: new Set(list.serials) }));
    this.#lists = Map.groupBy(kept, ({ list }) => list.issuer);
    const revoked = [...this.#followed].filter(({ chain }) => this.isRevoked(chain));
    for (const one of revoked) {
      this.#followed.delete(one);
      one.cut();
    }
    return revoked.length;
  }

  /** Whether one of a verified chain, leaf first, is revoked by who issued it. */
  isRevoked(chain: readonly Buffer[]): boolean {
    if (this.#lists.size === 0) return false;
    return chain.some((der) => {
      const { issuer, serial } = namesOf(der);
      const lists = this.#lists.get(issuer) ?? [];
      return lists.some(({ list, serials }) => serials.has(serial) && isSigned(list, chain));
    });
  }

  /** Calls `cut` once when a list comes to revoke one of the chain. */
  follow(chain: readonly Buffer[], cut: () => void): Cancel {
    const one = { chain, cut };
    this.#followed.add(one);
    return () => this.#followed.delete(one);
  }
}

function namesOf(der: Buffer): { issuer: string; serial: string } {
  const [certificate] = children(der, elementAt(der, 0));
  const fields = certificate === undefined ? [] : children(der, certificate).filter(({ tag }) => tag !== CONTEXT_0);
  const [serial, , issuer] = fields;
  if (serial === undefined || issuer === undefined) return { issuer: '', serial: '' };
  return { issuer: textOf(der, issuer), serial: textOf(der, serial, false) };
}

/** By somebody of the chain whose name is that of the list's issuer. */
function isSigned({ issuer, signed, signature, digest }: RevocationList, chain: readonly Buffer[]): boolean {
  return chain.some((der) => {
    const [certificate] = children(der, elementAt(der, 0));
    const fields = certificate === undefined ? [] : children(der, certificate).filter(({ tag }) => tag !== CONTEXT_0);
    const subject = fields[4]; // serial, algorithm, issuer, validity, subject
    if (subject === undefined || textOf(der, subject) !== issuer) return false;
    return verify(digest, signed, new X509Certificate(der).publicKey, signature);
  });
}
