import { messageOf } from '#model/error.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import type { CommonToControl, CommonToData, Link } from './common-messages.ts';

/** The control's ends of what leads to all that carry. */
export class DataLinks {
  readonly #links: readonly Link<CommonToData>[];
  readonly #credentials: (identity: Identity) => Promise<Credentials>;
  readonly #marks = new Map<number, () => void>();
  #lastMark = 0;

  /** `credentials`: valid ones of an identity, fetched when first needed. */
  constructor(links: readonly Link<CommonToData>[], credentials: (identity: Identity) => Promise<Credentials>) {
    this.#links = links;
    this.#credentials = credentials;
  }

  /** A certificate came in the place of another. */
  renewed(credentials: Credentials): void {
    const { identity } = credentials;
    for (const link of this.#links) link.send({ kind: 'credentials', identity, credentials, error: '' });
  }

  /** Resolves when all of them have done everything that they were told until now. */
  async settled(): Promise<void> {
    await Promise.all(
      this.#links.map((link) => {
        const mark = ++this.#lastMark;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#marks.set(mark, resolve);
        link.send({ kind: 'mark', mark });
        return promise;
      }),
    );
  }

  /** Does what one of them asks for. */
  receive(from: Link<CommonToData>, message: CommonToControl): void {
    switch (message.kind) {
      case 'credentials':
        this.#obtain(from, message.identity);
        return;
      case 'marked':
        this.#marks.get(message.mark)?.();
        this.#marks.delete(message.mark);
        return;
      default:
        message satisfies never;
    }
  }

  #obtain(from: Link<CommonToData>, identity: Identity): void {
    this.#credentials(identity).then(
      (credentials) => from.send({ kind: 'credentials', identity, credentials, error: '' }),
      (error: unknown) => from.send({ kind: 'credentials', identity, credentials: null, error: messageOf(error) }),
    );
  }
}
