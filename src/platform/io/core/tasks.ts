import type { Mishaps } from '#model/effects/mishaps.ts';

/** Something that has to be done before the loop waits again. */
export type Task = { run(): void };

const DONE: Task = { run() {} };

/** Tasks in the order in which they came. Its room is kept: each turn has some, and an array that is emptied and filled is made anew. */
export class Tasks {
  count = 0;
  readonly #tasks: Task[] = [];

  add(task: Task): void {
    this.#tasks[this.count++] = task;
  }

  /** Does all of them and is empty. None may be added meanwhile. What one throws is reported, and costs nobody else. */
  run(mishaps: Mishaps): void {
    for (let at = 0; at < this.count; at++) {
      const task = this.#tasks[at] ?? DONE;
      this.#tasks[at] = DONE; // whoever has it may go
      try {
        task.run();
      } catch (error) {
        mishaps.report('relay', error);
      }
    }
    this.count = 0;
  }
}
