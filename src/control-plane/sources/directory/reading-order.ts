import { identityOfName, type ResourceName } from '#control-plane/resources/resource.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';

/** What there is to be taken. */
export type Waiting = {
  /** Nothing was taken yet. */
  isFirst: boolean;
  /** What was urgent has just been taken. */
  hasPassed: boolean;
  /** Whether anything was told that nobody has begun with; of it, whether some is urgent, and whether some is not. */
  news: boolean;
  urgent: boolean;
  bulk: boolean;
  /** Text of all of that. */
  characters: number;
  /** What was told before: it is being read elsewhere, or ready to be put in force in slices. */
  begun: 'none' | 'elsewhere' | 'ready';
};

/** `pass`: what is urgent, ahead of all else; `slice`: a part of what was begun; `begin`: all that was told, together. */
export type NextStep = 'pass' | 'slice' | 'begin' | 'none';

/**
 * What is done next. What is little is never divided: it is in force at once, as it was told. Many urgent changes do not keep the others
 * waiting for ever: between two passes comes a slice.
 */
export function nextStep({ isFirst, hasPassed, news, urgent, bulk, characters, begun }: Waiting): NextStep {
  const isMuch = characters > RESOURCE.readAtOnceCharactersMax;
  const isBehind = begun !== 'none' || (bulk && isMuch);
  if (!isFirst && urgent && isBehind && !(hasPassed && begun === 'ready')) return 'pass';
  if (begun === 'ready') return 'slice';
  return begun === 'none' && news ? 'begin' : 'none';
}

/** Files that are ready to be put in force, null where one is gone: those that say all they said, and those that drop a resource. */
export type Ready<File extends { text: string }> = {
  steady: ReadonlyMap<string, File | null>;
  dropping: ReadonlyMap<string, File | null>;
};

/**
 * Which of them are put in force together: some that are steady, while there are any, then all that drop something. So what moved from one file
 * to another is never gone between. All, when they are little.
 */
export function nextSlice<File extends { text: string }>({ steady, dropping }: Ready<File>): Map<string, File | null> {
  const slice = new Map<string, File | null>();
  let left = RESOURCE.readAtOnceCharactersMax;
  for (const [path, file] of steady) {
    left -= file?.text.length ?? 0;
    if (left < 0 && slice.size > 0) return slice;
    slice.set(path, file);
  }
  for (const file of dropping.values()) left -= file?.text.length ?? 0;
  return left < 0 && slice.size > 0 ? slice : new Map([...slice, ...dropping]);
}

/** An urgent file: what it says no longer, and its text, '' where it is gone. */
export type UrgentFile = { drops: readonly ResourceName[]; text: string };

/**
 * Which files may be put in force ahead of the others, of which `texts` are all: not one that drops what another text may be about to
 * say, for that has most likely moved there. A name is taken to be said by a text that it stands in; there is no time to read it.
 */
export function passing(files: ReadonlyMap<string, UrgentFile>, texts: readonly string[]): Set<string> {
  const may = new Set(files.keys());
  const others = [...texts];
  let left = RESOURCE.soughtCharactersMax;
  // One that stays behind is among the others: then another one may have to stay, too.
  for (let before = -1; before !== may.size; ) {
    before = may.size;
    for (const path of may) {
      const { drops, text } = files.get(path) ?? { drops: [], text: '' };
      if (!drops.some((name) => isIn(identityOfName(name).name))) continue;
      may.delete(path);
      others.push(text);
    }
  }
  return may;

  function isIn(name: string): boolean {
    return others.some((text) => {
      left -= text.length;
      return left < 0 || text.includes(name);
    });
  }
}
