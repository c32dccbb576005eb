/** Runs tasks of the same key one after the other, and of different keys at once. */
export type Serial = <T>(key: string, task: () => Promise<T>) => Promise<T>;

/** A `Serial` that remembers a key only while it has tasks. */
export function createSerial(): Serial {
  const tails = new Map<string, Promise<unknown>>();
  return (key, task) => {
    const result = (tails.get(key) ?? Promise.resolve()).then(task, task);
    const tail = result
      .catch(() => {})
      .then(() => {
        if (tails.get(key) === tail) tails.delete(key);
      });
    tails.set(key, tail);
    return result;
  };
}
