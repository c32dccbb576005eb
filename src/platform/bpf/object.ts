import { WeftError } from '#model/error.ts';
import { HOST } from '#model/settings/host.ts';
import { errnoName } from './errno.ts';
import { libbpf, type MapHandle, type ObjectHandle, type ProgramHandle } from './libbpf.ts';
import { errno } from './libc.ts';

/** A loaded object file. */
export type LoadedObject = {
  /** Programs by C function name. */
  programs: ReadonlyMap<string, ProgramHandle>;
  /** Frees user space's side; programs and maps live on through pins and links. */
  close(): void;
};

/** Called for each map before loading: returns where it is pinned and re-used, or the bytes of read-only data. */
export type MapSetup = (name: string) => { pinPath: string } | null;

/**
 * Opens, prepares and loads one compiled object. Maps with a pin path are re-used when the pin exists
 * (libbpf refuses one of another shape) and pinned otherwise.
 * Errors: WEFT_BPF_OPEN, WEFT_BPF_LOAD with the lines of the verifier's log that matter.
 */
export function loadObject(path: string, setup: MapSetup, readOnlyData: Buffer | null): LoadedObject {
  const api = libbpf();
  const object = api.objectOpen(path, null);
  if (object === null) {
    throw new WeftError('WEFT_BPF_OPEN', `cannot open eBPF object ${path}: ${errnoName(errno())}`, {
      remedy: 'run make setup, which compiles it',
    });
  }
  prepareMaps(object, setup, readOnlyData);
  const logs = prepareLogs(object);
  const failed = api.objectLoad(object);
  if (failed !== 0) {
    const details = [...logs].map(([name, log]) => explainVerifierLog(name, log)).filter((text) => text !== '');
    api.objectClose(object);
    throw new WeftError(
      'WEFT_BPF_LOAD',
      [`the kernel refused eBPF object ${path}: ${errnoName(-failed)}`, ...details].join('\n'),
      {
        remedy: 'run as root on Linux 5.15 or newer (6.6 for everything); weft agent prints missing features at start',
      },
    );
  }
  const programs = new Map<string, ProgramHandle>();
  for (const program of programsOf(object)) programs.set(api.programName(program), program);
  return { programs, close: () => api.objectClose(object) };
}

function prepareMaps(object: ObjectHandle, setup: MapSetup, readOnlyData: Buffer | null): void {
  const api = libbpf();
  for (let map: MapHandle | null = api.nextMap(object, null); map !== null; map = api.nextMap(object, map)) {
    if (api.mapIsInternal(map)) {
      if (readOnlyData !== null && api.mapName(map).endsWith('.rodata'))
        api.mapSetInitialValue(map, readOnlyData, readOnlyData.length);
      continue;
    }
    const wanted = setup(api.mapName(map));
    if (wanted !== null) api.mapSetPinPath(map, wanted.pinPath);
  }
}

function* programsOf(object: ObjectHandle): Generator<ProgramHandle> {
  const api = libbpf();
  for (let program = api.nextProgram(object, null); program !== null; program = api.nextProgram(object, program)) yield program;
}

function prepareLogs(object: ObjectHandle): Map<string, Buffer> {
  const api = libbpf();
  const logs = new Map<string, Buffer>();
  for (const program of programsOf(object)) {
    const log = Buffer.alloc(HOST.verifierLogBytesMax);
    api.programSetLogBuffer(program, log, log.length);
    logs.set(api.programName(program), log);
  }
  return logs;
}

/**
 * The part of a verifier log that a person needs: the last source line, the instruction and the complaint.
 * '' when the log is empty or ends in success.
 */
export function explainVerifierLog(program: string, log: Buffer): string {
  const end = log.indexOf(0);
  const lines = log
    .toString('utf8', 0, end < 0 ? log.length : end)
    .split('\n')
    .filter((line) => line.trim() !== '');
  const complaints = lines.filter((line) => !/^(processed |verification time|stack depth|max_states|func#)/.test(line));
  const complaint = complaints.at(-1);
  if (complaint === undefined) return '';
  const source = complaints.filter((line) => line.startsWith(';')).at(-1);
  const instruction = complaints.filter((line) => /^\d+: \(/.test(line)).at(-1);
  const context = [source, instruction].filter((line) => line !== undefined && line !== complaint);
  return [`program ${program}: ${complaint}`, ...context.map((line) => `  at ${line}`)].join('\n');
}
