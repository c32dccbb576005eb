import type { Credentials, Identity } from '#model/identity/identity.ts';

// What passes between the one that knows (control) and those that carry (data) in every process that has both: plain data, in the
// order in which it was sent.

/** From whoever knows. */
export type CommonToData =
  /** `credentials` null: there are none; `error` says why. */
  | {
      readonly kind: 'credentials';
      readonly identity: Identity;
      readonly credentials: Credentials | null;
      readonly error: string;
    }
  /** To be answered when everything before it is done. */
  | { readonly kind: 'mark'; readonly mark: number };

/** From whoever carries. */
export type CommonToControl =
  | { readonly kind: 'credentials'; readonly identity: Identity }
  | { readonly kind: 'marked'; readonly mark: number };

/** One end of what leads to the other side. */
export type Link<Message> = { send(message: Message): void };
