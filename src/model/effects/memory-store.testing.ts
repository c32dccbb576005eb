import type { StateStore } from './state-store.ts';

/** A store that forgets when the test ends; `texts` may be looked at and spoilt. */
export class MemoryStore implements StateStore {
  readonly texts = new Map<string, string>();
  /** Names of texts that were written as secrets. */
  readonly secrets = new Set<string>();

  async read(name: string): Promise<string | null> {
    return this.texts.get(name) ?? null;
  }

  async write(name: string, text: string, { secret }: { secret: boolean } = { secret: false }): Promise<void> {
    this.texts.set(name, text);
    if (secret) this.secrets.add(name);
    else this.secrets.delete(name);
  }

  async remove(name: string): Promise<void> {
    this.texts.delete(name);
    this.secrets.delete(name);
  }

  async list(prefix: string): Promise<string[]> {
    return [...this.texts.keys()].filter((name) => name.startsWith(prefix)).sort();
  }
}
