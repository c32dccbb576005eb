import { fileOrigin } from '#control-plane/resources/finding.ts';
import { identityOfName, type ResourceName } from '#control-plane/resources/resource.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { NewResource, ResourceEditor, WrittenResource } from '#control-plane/sources/editor.ts';
import { WeftError } from '#model/error.ts';
import type { Origin } from '#protocol/api/control.ts';
import type { ConfigFiles } from './config-files.ts';
import { type EditedFile, editFile, withDocument } from './edit-document.ts';

/** Writes into the directory that is read. */
export type EditFiles = {
  /** Where the files lie. */
  directory: string;
  /** The path of a new resource, of kind, namespace and name; without it a file in the directory that is called by all of them. */
  pathOf?(words: readonly string[]): string;
  /** A file's text now; null when there is none. Errors: WEFT_RESOURCE_WRITE. */
  read(path: string): Promise<string | null>;
  /** Puts `text` in the place of `before`, null being no file at all. Errors: WEFT_RESOURCE_WRITE, also when it says something else by now. */
  replace(path: string, before: string | null, text: string | null): Promise<void>;
  /** Resolves when what a file says now has been read. */
  look(path: string): Promise<void>;
};

/** What is written of resources in a directory: a resource keeps the file that its author put it in, a new one gets one of its own. */
export function directoryEditor(files: ConfigFiles, parser: ResourceParser, effects: EditFiles): ResourceEditor {
  return new DirectoryEditor(files, parser, effects);
}

class DirectoryEditor implements ResourceEditor {
  readonly #files: ConfigFiles;
  readonly #parser: ResourceParser;
  readonly #effects: EditFiles;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(files: ConfigFiles, parser: ResourceParser, effects: EditFiles) {
    this.#files = files;
    this.#parser = parser;
    this.#effects = effects;
  }

  names(): Iterable<ResourceName> {
    return this.#files.ledger.names();
  }

  find(name: ResourceName): WrittenResource | null {
    for (const unit of this.#files.ledger.unitsOf(name)) {
      const found = this.#files.writtenIn(unit, name);
      if (found !== null) return found;
    }
    return null;
  }

  put(resource: NewResource): Promise<Origin> {
    return this.#inTurn(async () => {
      for (const path of this.#files.ledger.unitsOf(resource.name)) {
        const line = await this.#edit(path, (text) => editFile({ path, text }, resource.name, resource, this.#parser));
        if (line !== null) return fileOrigin(path, { line, column: 1 });
      }
      const path = this.#pathFor(resource.name);
      const line = await this.#edit(path, () => null, resource);
      return fileOrigin(path, { line: line ?? 1, column: 1 });
    });
  }

  remove(name: ResourceName): Promise<boolean> {
    return this.#inTurn(async () => {
      let removed = false;
      for (const path of this.#files.ledger.unitsOf(name)) {
        // Twice in one file is a mistake of its author; what is left of it would be in force next.
        while ((await this.#edit(path, (text) => editFile({ path, text }, name, null, this.#parser))) !== null) removed = true;
      }
      return removed;
    });
  }

  /** The line of what was written; null when the file says nothing of it, and `added` is nothing either. */
  async #edit(path: string, edit: (text: string) => EditedFile | null, added: NewResource | null = null): Promise<number | null> {
    const before = await this.#effects.read(path);
    const edited = (before === null ? null : edit(before)) ?? (added === null ? null : withDocument(path, before, added));
    if (edited === null) return null;
    await this.#effects.replace(path, before, edited.text);
    await this.#effects.look(path);
    return edited.line;
  }

  /** Names of resources have no `_`, so that no two of them share a file. */
  #pathFor(name: ResourceName): string {
    const { kind, namespace, name: own } = identityOfName(name);
    const words = [kind.toLowerCase(), namespace, own].filter((word) => word !== '');
    if (words.some((word) => !/^[A-Za-z0-9.-]+$/.test(word)))
      throw new WeftError('WEFT_RESOURCE_WRITE', `${name} cannot be the name of a file`, {
        remedy: 'give the resource another name',
      });
    return this.#effects.pathOf?.(words) ?? `${this.#effects.directory}/${words.join('_')}.yaml`;
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => {}); // whoever asked hears of it
    return done;
  }
}
