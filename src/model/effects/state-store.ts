/**
 * What a process keeps over restarts: small texts by name (`token-key.pem`, `registry/node-1.json`).
 * Errors of every method: WEFT_STATE_DIR when the place cannot be read or written.
 */
export type StateStore = {
  /** null when there is none of that name. */
  read(name: string): Promise<string | null>;
  /** Replaces the whole text or nothing. secret: only the owner may read it. */
  write(name: string, text: string, options: { secret: boolean }): Promise<void>;
  /** Removing what is not there is no error. */
  remove(name: string): Promise<void>;
  /** Names that begin with `prefix`, in order. */
  list(prefix: string): Promise<string[]>;
};
