/**
 * What the control plane keeps over restarts: small texts by name (`token-key.pem`, `registry/node-1.json`).
 * Errors of every method: WEFT_STATE_DIR when the place cannot be read or written.
 */
export type StateStore = {
  /** null when there is none of that name. */
  read(name: string): Promise<string | null>;
  /** Replaces the whole text or nothing. secret: only the owner may read it. */
  write(name: string, text: string, options: { secret: boolean }): Promise<void>;
  /** Names that begin with `prefix`. */
  list(prefix: string): Promise<string[]>;
};

/** A store that forgets when the process ends; for tests. */
export class MemoryStore implements StateStore {
  readonly texts = new Map<string, string>();

  async read(name: string): Promise<string | null> {
    return this.texts.get(name) ?? null;
  }

  async write(name: string, text: string): Promise<void> {
    this.texts.set(name, text);
  }

  async list(prefix: string): Promise<string[]> {
    return [...this.texts.keys()].filter((name) => name.startsWith(prefix));
  }
}
