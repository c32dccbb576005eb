import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { SCHEMA } from '#model/kernel/abi.ts';
import { MAPS, type MapDefinition, type MapKey, type MapName, type MapValue, nameInC } from '#model/kernel/maps.ts';
import { Links } from './links.ts';
import { type BpfMap, mapId, type OpenMap, openPin, openPinnedMap } from './map.ts';

/** The shared maps, typed. Per-CPU counters and the ring are read through their descriptors alone. */
export type DatapathMaps = {
  [Name in MapName]: (typeof MAPS)[Name]['kind'] extends 'percpu' | 'ring' ? OpenMap : BpfMap<MapKey<Name>, MapValue<Name>>;
};

/**
 * The number by which the layouts of the maps go: that of the programs. Another one, which only tests of an upgrade have a use
 * for, is what WEFT_BPF_SCHEMA says. Errors: WEFT_SETTING.
 */
export function schemaOf(text: string | undefined): number {
  if (text === undefined || text === '') return SCHEMA;
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new WeftError('WEFT_SETTING', `the environment variable WEFT_BPF_SCHEMA is "${text}"`, { remedy: 'unset it' });
}

/** Where the maps of a schema are pinned: each has a folder of its own, so that new ones come up beside the old. */
export function mapsDirectory(pinDir: string, schema: number = SCHEMA): string {
  return join(pinDir, String(schema), 'maps');
}

/** Where the links of a node are pinned, whatever maps their programs use. */
export function linksDirectory(pinDir: string): string {
  return join(pinDir, 'links');
}

/** The number of the maps of this schema that are whole and in force, by the one that comes first; null: there are none. */
export function mapsInForce(pinDir: string, schema: number): number | null {
  if (!isInForce(pinDir, schema)) return null;
  const config = openPin(join(mapsDirectory(pinDir, schema), nameInC('config')));
  const id = mapId(config.fd);
  config.close();
  return id;
}

/** How a node's pins were found. `adopted`: the maps of this schema are whole, and in force. `inForce`: those of some schema are. */
export type FoundPins = { adopted: boolean; inForce: boolean };

/** Makes the folders of a node's pins. Maps that are not adopted are made anew: of an upgrade that was cut off, or damaged. */
export function preparePins(pinDir: string, schema: number): FoundPins {
  const maps = mapsDirectory(pinDir, schema);
  const inForce = schemasOf(pinDir).some((name) => existsSync(join(pinDir, name, IN_FORCE)));
  const adopted = isInForce(pinDir, schema);
  // Programs that use them hold them, pinned or not: taking the pins away changes nothing for a connection.
  if (!adopted) rmSync(join(pinDir, String(schema)), { recursive: true, force: true });
  for (const directory of [maps, linksDirectory(pinDir)]) mkdirSync(directory, { recursive: true, mode: 0o700 });
  return { adopted, inForce };
}

/**
 * Puts the maps of a schema in force by `swap`, and forgets all others. Whatever is cut off in the middle, no maps are taken
 * for those in force that are not: the next agent then starts afresh beside what is attached.
 */
export function putInForce(pinDir: string, schema: number, swap: () => void): void {
  const others = schemasOf(pinDir).filter((name) => name !== String(schema));
  for (const name of others) rmSync(join(pinDir, name, IN_FORCE), { recursive: true, force: true });
  swap();
  mkdirSync(join(pinDir, String(schema), IN_FORCE), { recursive: true, mode: 0o700 });
  for (const name of others) rmSync(join(pinDir, name), { recursive: true, force: true });
}

/** A folder, as a bpf file system holds no plain files: the programs that are attached use these maps, and these are filled. */
const IN_FORCE = 'in-force';

function isInForce(pinDir: string, schema: number): boolean {
  return existsSync(join(pinDir, String(schema), IN_FORCE)) && isWhole(mapsDirectory(pinDir, schema), schema);
}

/** Every folder of a node's pins but that of the links. */
function schemasOf(pinDir: string): string[] {
  return existsSync(pinDir) ? readdirSync(pinDir).filter((name) => name !== 'links') : [];
}

/** Detaches every program of a node and removes its pins; nothing of it stays in the kernel once its sockets are gone. */
export function removePins(pinDir: string): void {
  const directory = linksDirectory(pinDir);
  if (existsSync(directory)) {
    const links = new Links(directory, false);
    for (const name of readdirSync(directory)) links.detach(name);
  }
  rmSync(pinDir, { recursive: true, force: true });
}

/** Errors: WEFT_BPF_PIN for one that is missing or has another shape. */
export function openMaps(directory: string): DatapathMaps {
  const opened: [string, OpenMap][] = [];
  try {
    for (const [name, definition] of Object.entries(MAPS)) {
      const path = join(directory, nameInC(name));
      const bare = definition.kind === 'percpu' || definition.kind === 'ring';
      opened.push([name, bare ? openPin(path) : openPinnedMap(path, definition as MapDefinition<unknown, unknown>)]);
    }
  } catch (error) {
    for (const [, map] of opened) map.close();
    throw error;
  }
  return Object.fromEntries(opened) as DatapathMaps;
}

/**
 * Whether every map is there and was in use. A map that is missing would be made anew and empty beside the others: a node
 * whose workloads are forgotten, or whose generation is 0, is worse than one that starts afresh.
 */
function isWhole(directory: string, schema: number): boolean {
  try {
    const maps = openMaps(directory);
    const found = maps.config.get(0)?.schema;
    for (const map of Object.values(maps)) map.close();
    return found === schema;
  } catch {
    return false;
  }
}
