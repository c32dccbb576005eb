/** One change to the headers of a message; the name in lower case. */
export type HeaderEdit = {
  readonly name: string;
  readonly value: string;
  /** `set` replaces what is there; `add` leaves it; `absent`: only where there is none; `present`: only where there is one. */
  readonly how: 'set' | 'add' | 'absent' | 'present';
};

/** What an external authorizer says of a request. */
export type ExternalVerdict =
  | {
      readonly kind: 'allow';
      /** Headers that the upstream does not get. */
      readonly removed: readonly string[];
      readonly toUpstream: readonly HeaderEdit[];
      readonly toClient: readonly HeaderEdit[];
      readonly removedParams: readonly string[];
      readonly setParams: readonly (readonly [name: string, value: string])[];
    }
  | {
      readonly kind: 'deny';
      readonly status: number;
      readonly headers: readonly HeaderEdit[];
      readonly body: Uint8Array | string;
    }
  /** It has not decided. */
  | { readonly kind: 'error'; readonly why: string };

/** It lets the request pass as it is. */
export const PLAIN_ALLOW: Extract<ExternalVerdict, { kind: 'allow' }> = {
  kind: 'allow',
  ...{ removed: [], toUpstream: [], toClient: [], removedParams: [], setParams: [] },
};

/** Whether a status can end an exchange; one that cannot says nothing that a client would understand. */
export function isFinalStatus(status: number): boolean {
  return Number.isInteger(status) && status >= 200 && status <= 599;
}
