import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Entry } from '#control-plane/sources/ledger-unit.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import type { DocumentReading } from './resource-file.ts';
import { cutDocuments, type RawDocument } from './yaml-documents.ts';

/** A document of a file, and what it says. */
export type KnownDocument = { raw: RawDocument; reading: DocumentReading };

/**
 * A file in force. Its text is needed when it changes, when something is wrong with it, and when somebody asks for what is written;
 * between, it lies packed: as texts, those of a large mesh would take as much memory as all that clients are served.
 */
export class KnownFile {
  /** Of its text. */
  readonly hash: string;
  /** A document that says one thing, with which all is well, is that entry alone: nearly all are. */
  readonly #said: readonly (Entry | DocumentReading)[];
  readonly #text: string | Uint8Array;

  /** readings: of each document that `text` is cut into. */
  constructor(text: string, hash: string, readings: readonly DocumentReading[]) {
    this.hash = hash;
    this.#said = readings.map(narrowed);
    // Level 1: of documents that are much alike it makes a tenth, in a fifth of the time.
    this.#text = text.length <= RESOURCE.unpackedCharactersMax ? text : deflateRawSync(text, { level: 1 });
  }

  /** What its documents say, one after the other. */
  get readings(): readonly DocumentReading[] {
    return this.#said.map(widened);
  }

  /** Its documents as they are written, each with what it says. */
  documents(): KnownDocument[] {
    const text = typeof this.#text === 'string' ? this.#text : inflateRawSync(this.#text).toString();
    return cutDocuments(text).flatMap((raw, at) => {
      const said = this.#said[at];
      return said === undefined ? [] : [{ raw, reading: widened(said) }];
    });
  }
}

function narrowed(reading: DocumentReading): Entry | DocumentReading {
  const [only, ...others] = reading.entries;
  const isAlone = only !== undefined && others.length === 0 && reading.findings.length === 0;
  if (!isAlone || only.standIns !== undefined) return reading;
  // Written out: what came from another thread has its fields in a list beside the object.
  const { name, resource, origin, findings, document } = only;
  return document === undefined ? { name, resource, origin, findings } : { name, resource, origin, findings, document };
}

function widened(said: Entry | DocumentReading): DocumentReading {
  return 'entries' in said ? said : { entries: [said], findings: NONE };
}

const NONE: readonly never[] = [];
