import type { SourceChange } from '#control-plane/sources/source.ts';
import type { Clock } from '#model/effects/clock.ts';
import { inTurns, type Soon, type Work, whenThere } from '#model/effects/work.ts';
import { messageOf, WeftError } from '#model/error.ts';
import { CONTROL, RESOURCE } from '#model/settings/control-planes.ts';
import { BegunFiles } from './begun-files.ts';
import type { Batch, ConfigFiles, FileChanges, ReadFile, UnreadFiles, WantedDocument } from './config-files.ts';
import { type NextStep, nextStep, passing } from './reading-order.ts';
import type { DocumentReading } from './resource-file.ts';

/** Reads documents elsewhere, so that who serves meanwhile goes on. Errors: when that cannot be done; then they are read here. */
export type ReadElsewhere = (wanted: readonly WantedDocument[]) => Promise<readonly DocumentReading[]>;

/** What an intake puts changes in force with. */
export type IntakeOptions = {
  files: ConfigFiles;
  clock: Clock;
  /** For more text than is read in one turn; without it all is read here. */
  readElsewhere?: ReadElsewhere;
  /** Told all there is at first, before it is read. */
  looked(changed: FileChanges, unread: UnreadFiles): Soon<void>;
  /** What became of resources; `read`: of which files the last good versions may be others now. Nothing more is taken until it is done. */
  changed(change: SourceChange & { read: readonly string[] }): Soon<void>;
  trouble(problem: Error): void;
};

/**
 * Takes changed files in. What was told together is read together and put in force in slices. Between them, and while it is read
 * elsewhere, files that restrict something and files that are gone pass, so that a storm of other changes does not keep them waiting.
 */
export class FileIntake {
  /** Resolves when the first look is in force. Errors: what went wrong with it. */
  readonly begun: Promise<void>;
  readonly #first = Promise.withResolvers<void>();
  readonly #options: IntakeOptions;
  /** Told, and not begun with. */
  #waiting = new Map<string, string | null>();
  #characters = 0;
  /** Of those, which are urgent. */
  readonly #urgent = new Set<string>();
  /** What cannot be read, as it was told last. */
  #unread: UnreadFiles = new Map();
  /** Whether anything was told that was not begun with. */
  #hasNews = false;
  #begun: BegunFiles | null = null;
  /** What could not be taken, which was a mistake of ours: it is tried again with the next change. */
  #failed = new Map<string, string | null>();
  /** The step that is being done, and the files that it puts in force. */
  #step: Promise<void> | null = null;
  #taking: ReadonlySet<string> = new Set();
  /** What is being read elsewhere. */
  #reading: Promise<void> | null = null;
  #hasLooked = false;
  /** Whether the last step was one of what is urgent. */
  #hasPassed = false;
  /** Until the first look is in force. */
  #isFirst = true;
  #stopped = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.begun = this.#first.promise;
    // Who waits for it hears of it; others are told of it as of any trouble.
    this.begun.catch(() => {});
  }

  /** Takes what has changed, and all that cannot be read now. In this turn when it is little and nothing is on its way. */
  tell(changed: FileChanges, unread: UnreadFiles): void {
    for (const [path, text] of this.#failed) this.#wait(path, text);
    this.#failed = new Map();
    for (const [path, text] of changed) this.#wait(path, text);
    this.#unread = unread;
    this.#hasNews = true;
    this.#next();
  }

  /** Whether all that was told is in force. */
  get isIdle(): boolean {
    return this.#step === null && this.#begun === null && !this.#hasNews && this.#failed.size === 0 && !this.#isFirst;
  }

  /** Resolves when what was told of a file is in force, or could not be. */
  async settled(path: string): Promise<void> {
    for (;;) {
      const isComing = this.#waiting.has(path) || this.#begun?.texts.has(path) === true;
      const busy = this.#step ?? this.#reading;
      if (busy === null || (!isComing && !this.#taking.has(path))) return;
      await busy;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#first.resolve();
  }

  #wait(path: string, text: string | null): void {
    this.#forget(path);
    this.#waiting.set(path, text);
    this.#characters += text?.length ?? 0;
    if (!this.#isFirst && (text === null || this.#options.files.restricts(path, text))) this.#urgent.add(path);
  }

  #forget(path: string): void {
    this.#characters -= this.#waiting.get(path)?.length ?? 0;
    this.#waiting.delete(path);
    this.#urgent.delete(path);
  }

  #nextStep(): NextStep {
    const [waiting, urgent] = [this.#waiting.size, this.#urgent.size];
    const begun = this.#begun === null ? 'none' : this.#begun.isReady ? 'ready' : 'elsewhere';
    const [isFirst, hasPassed, news, characters] = [this.#isFirst, this.#hasPassed, this.#hasNews, this.#characters];
    return nextStep({ isFirst, hasPassed, news, urgent: urgent > 0, bulk: waiting > urgent, characters, begun });
  }

  /** One step after the other, with turns of others between. */
  #next(): void {
    if (this.#step !== null || this.#stopped) return;
    const done = this.#do();
    if (!(done instanceof Promise) && this.#nextStep() === 'none') return;
    const { clock } = this.#options;
    const turn = done instanceof Promise ? done : new Promise<void>((resolve) => clock.after(0, resolve));
    this.#step = turn.finally(() => {
      this.#step = null;
      this.#taking = new Set();
    });
    this.#step.then(() => this.#next()).catch((error: unknown) => this.#options.trouble(unforeseen(error)));
  }

  #do(): Soon<void> {
    const step = this.#nextStep();
    this.#hasPassed = step === 'pass';
    switch (step) {
      case 'pass':
        return this.#pass();
      case 'slice':
        return this.#slice();
      case 'begin':
        return this.#begin();
      case 'none':
        return;
    }
  }

  /** What is urgent is put in force ahead of all else, but for what has to wait for others. */
  #pass(): Soon<void> {
    const { files } = this.#options;
    const round = new Map([...this.#urgent].map((path) => [path, this.#waiting.get(path) ?? null]));
    for (const path of round.keys()) this.#forget(path);
    return this.#trying(round, () =>
      whenThere(this.#inTurns(files.preparing(round)), (batch) => {
        if (isMuch(batch)) return this.#hold(round);
        return whenThere(this.#inTurns(files.saying(batch, files.read(batch.wanted))), (said) => {
          const may = this.#passing(said);
          this.#hold(new Map([...round].filter(([path]) => !may.has(path))));
          if (may.size === 0) return;
          for (const path of may) this.#begun?.overtake(path);
          this.#tellUnread();
          return this.#take(new Map([...said].filter(([path]) => may.has(path))));
        });
      }),
    );
  }

  #passing(said: ReadonlyMap<string, ReadFile | null>): ReadonlySet<string> {
    const { files } = this.#options;
    const urgent = new Map(
      [...said].map(([path, file]) => [path, { drops: files.droppedBy(path, file), text: file?.text ?? '' }]),
    );
    const others = [...this.#waiting, ...(this.#begun?.texts ?? [])];
    return passing(
      urgent,
      others.flatMap(([path, text]) => (text === null || said.has(path) ? [] : [text])),
    );
  }

  /** These are begun with when all the others are; unless they have changed again. */
  #hold(round: FileChanges): void {
    for (const [path, text] of round) {
      if (this.#waiting.has(path)) continue;
      this.#waiting.set(path, text);
      this.#characters += text?.length ?? 0;
    }
    this.#hasNews ||= round.size > 0;
  }

  /** Where all that was told has passed, what cannot be read comes with what is on its way. */
  #tellUnread(): void {
    if (this.#begun === null || this.#waiting.size > 0) return;
    this.#begun.unread = this.#unread;
    this.#hasNews = false;
  }

  /** All that waits. */
  #begin(): Soon<void> {
    const { files, looked, readElsewhere } = this.#options;
    const changed = this.#waiting;
    const begun = new BegunFiles(changed, this.#unread);
    this.#begun = begun;
    this.#waiting = new Map();
    this.#urgent.clear();
    this.#characters = 0;
    this.#hasNews = false;
    return this.#trying(changed, () => {
      const first = this.#hasLooked ? undefined : looked(changed, begun.unread);
      this.#hasLooked = true;
      const prepared = whenThere(first, () => this.#inTurns(files.preparing(changed)));
      return whenThere(prepared, (batch) => {
        if (readElsewhere !== undefined && isMuch(batch)) {
          this.#reading = this.#elsewhere(begun, batch, readElsewhere);
          return;
        }
        const ready = this.#inTurns(begun.readying(files, batch, files.read(batch.wanted)));
        return whenThere(ready, () => this.#slice());
      });
    });
  }

  /** Errors: none. */
  async #elsewhere(begun: BegunFiles, batch: Batch, readElsewhere: ReadElsewhere): Promise<void> {
    const { files, trouble } = this.#options;
    try {
      const readings = await readElsewhere(batch.wanted).catch((error: unknown) => {
        trouble(readHere(error));
        return files.read(batch.wanted);
      });
      await this.#inTurns(begun.readying(files, batch, readings));
    } catch (error) {
      this.#fail(new Map(begun.texts), error);
    }
    this.#reading = null;
    this.#next();
  }

  /** The next part of what is ready; what can no longer be read, or can again, was told with all of it and comes with the last. */
  #slice(): Soon<void> {
    const begun = this.#begun;
    if (begun === null) return;
    const slice = this.#isFirst ? begun.takeAll() : begun.takeSlice();
    const isLast = begun.texts.size === 0;
    if (isLast) this.#begun = null;
    const texts = new Map([...slice].map(([path, file]) => [path, file?.text ?? null]));
    return this.#trying(texts, () => this.#take(slice, isLast ? begun.unread : undefined));
  }

  #take(files: ReadonlyMap<string, ReadFile | null>, unread?: UnreadFiles): Soon<void> {
    if (this.#stopped) return;
    this.#taking = new Set(files.keys());
    return whenThere(this.#inTurns(this.#options.files.taking(files, unread)), (change) => {
      const done = this.#stopped ? undefined : this.#options.changed(change);
      return whenThere(done, () => {
        this.#isFirst = false;
        this.#first.resolve();
      });
    });
  }

  /** Errors: none. */
  #trying(changed: FileChanges, work: () => Soon<void>): Soon<void> {
    try {
      const done = work();
      return done instanceof Promise ? done.catch((error: unknown) => this.#fail(changed, error)) : done;
    } catch (error) {
      this.#fail(changed, error);
    }
  }

  #fail(changed: FileChanges, error: unknown): void {
    for (const [path, text] of changed) {
      if (!this.#waiting.has(path)) this.#failed.set(path, text);
      this.#begun?.overtake(path);
    }
    if (this.#begun?.texts.size === 0) this.#begun = null;
    this.#first.reject(error);
    this.#options.trouble(unforeseen(error));
  }

  #inTurns<Result>(work: Work<Result>): Soon<Result> {
    return inTurns(work, this.#options.clock, CONTROL.serveTurnMs);
  }
}

function isMuch({ wanted }: Batch): boolean {
  return wanted.reduce((sum, { text }) => sum + text.length, 0) > RESOURCE.readAtOnceCharactersMax;
}

function readHere(cause: unknown): WeftError {
  return new WeftError('WEFT_READER', `the thread that reads resources has failed: ${messageOf(cause)}`, {
    cause,
    remedy: 'nothing to do: they are read all the same, and meanwhile nobody else is served',
  });
}

function unforeseen(cause: unknown): WeftError {
  return new WeftError('WEFT_CONFIG_DIRECTORY', `the resources could not be taken: ${messageOf(cause)}`, {
    cause,
    remedy: 'report this mistake of the program; the resources that were in force stay, and the next change is read',
  });
}
