import { WeftError } from '#model/error.ts';
import { HOST } from '#model/settings/host.ts';
import { errno, errnoName } from '#platform/ffi/libc.ts';
import { libbpf, type MapHandle, type ObjectHandle, type ProgramHandle } from './libbpf.ts';

/** A loaded object file. */
export type LoadedObject = {
  /** Programs by C function name. */
  programs: ReadonlyMap<string, ProgramHandle>;
  /** Writes all of the object's own data, which C begins with zeros. Errors: WEFT_BPF_LOAD when it has not that many bytes. */
  setData(bytes: Buffer): void;
  /** Frees user space's side; programs and maps live on through pins and links. */
  close(): void;
};

/** Called for each map before loading: where it is pinned, or re-used if it is there; null: nowhere, it goes with its programs. */
export type MapSetup = (name: string) => { pinPath: string } | null;

/** When the whole of the verifier's log is printed: never, when it refuses a program, or always. */
export type LogWish = 'never' | 'refusal' | 'always';

/** What WEFT_BPF_LOG wishes: 1 on a refusal, 2 always, unset or 0 never. Errors: WEFT_SETTING. */
export function logWish(text: string | undefined): LogWish {
  const wish = ({ '': 'never', 0: 'never', 1: 'refusal', 2: 'always' } as const)[text ?? ''];
  if (wish !== undefined) return wish;
  throw new WeftError('WEFT_SETTING', `the environment variable WEFT_BPF_LOG is "${text}"`, { remedy: 'write 0, 1 or 2' });
}

/** Where whole logs go, and when. */
export type VerifierLog = { wish: LogWish; print(text: string): void };

/** To standard error, as WEFT_BPF_LOG wishes. */
function environmentLog(): VerifierLog {
  return { wish: logWish(process.env.WEFT_BPF_LOG), print: (text) => void process.stderr.write(text) };
}

/**
 * Opens, prepares and loads one compiled object. Maps with a pin path are re-used when the pin exists
 * (libbpf refuses one of another shape) and pinned otherwise.
 * Errors: WEFT_BPF_OPEN, WEFT_BPF_LOAD with the lines of the verifier's log that matter, WEFT_SETTING.
 */
export function loadObject(
  path: string,
  setup: MapSetup,
  readOnlyData: Buffer | null,
  verifier: VerifierLog = environmentLog(),
): LoadedObject {
  const api = libbpf();
  const object = api.objectOpen(path, null);
  if (object === null) {
    throw new WeftError('WEFT_BPF_OPEN', `cannot open eBPF object ${path}: ${errnoName(errno())}`, {
      remedy: 'run make setup, which compiles it',
    });
  }
  prepareMaps(object, setup, readOnlyData);
  const logs = prepareLogs(object, verifier.wish);
  const failed = api.objectLoad(object);
  if (verifier.wish === 'always' || (verifier.wish === 'refusal' && failed !== 0)) {
    for (const [name, log] of logs) if (textOf(log) !== '') verifier.print(`-- ${path}, program ${name}\n${textOf(log)}\n`);
  }
  if (failed !== 0) {
    const details = [...logs].map(([name, log]) => explainVerifierLog(name, log)).filter((text) => text !== '');
    api.objectClose(object);
    throw new WeftError(
      'WEFT_BPF_LOAD',
      [`the kernel refused eBPF object ${path}: ${errnoName(-failed)}`, ...details].join('\n'),
      {
        remedy:
          'run as root on Linux 5.15 or newer (6.6 for everything); weft agent prints missing features at start, and WEFT_BPF_LOG=1 the whole log',
      },
    );
  }
  const programs = new Map<string, ProgramHandle>();
  for (const program of programsOf(object)) programs.set(api.programName(program), program);
  const data = [...mapsOf(object)].find((map) => api.mapIsInternal(map) && api.mapName(map).endsWith('.bss')) ?? null;
  return { programs, setData: (bytes) => setData(path, data, bytes), close: () => api.objectClose(object) };
}

function prepareMaps(object: ObjectHandle, setup: MapSetup, readOnlyData: Buffer | null): void {
  const api = libbpf();
  for (const map of mapsOf(object)) {
    if (api.mapIsInternal(map)) {
      if (readOnlyData !== null && api.mapName(map).endsWith('.rodata')) setReadOnlyData(map, readOnlyData);
      continue;
    }
    const wanted = setup(api.mapName(map));
    if (wanted !== null) api.mapSetPinPath(map, wanted.pinPath);
  }
}

/** libbpf takes only the exact size: a constant more in C would otherwise leave every one at what C says. */
function setReadOnlyData(map: MapHandle, bytes: Buffer): void {
  const failed = libbpf().mapSetInitialValue(map, bytes, bytes.length);
  if (failed === 0) return;
  const wanted = libbpf().mapValueSize(map);
  throw new WeftError('WEFT_BPF_LOAD', `the constants of an eBPF object have ${wanted} bytes, not ${bytes.length}`, {
    remedy: 'run make setup, which compiles the object of this version',
  });
}

/** libbpf keeps it as one value of a map. */
function setData(path: string, map: MapHandle | null, bytes: Buffer): void {
  const api = libbpf();
  const size = map === null ? 0 : api.mapValueSize(map);
  const failed = map === null || size !== bytes.length ? 1 : api.mapUpdate(api.mapFd(map), Buffer.alloc(4), bytes, 0n);
  if (failed === 0) return;
  throw new WeftError(
    'WEFT_BPF_LOAD',
    `the data of eBPF object ${path}, of ${size} bytes, cannot be made ${bytes.length} bytes`,
    {
      remedy: 'run make setup, which compiles the object of this version',
    },
  );
}

function* mapsOf(object: ObjectHandle): Generator<MapHandle> {
  const api = libbpf();
  for (let map = api.nextMap(object, null); map !== null; map = api.nextMap(object, map)) yield map;
}

function* programsOf(object: ObjectHandle): Generator<ProgramHandle> {
  const api = libbpf();
  for (let program = api.nextProgram(object, null); program !== null; program = api.nextProgram(object, program)) yield program;
}

/** One buffer a program. libbpf asks for a log only when a load fails, unless a level is set. */
function prepareLogs(object: ObjectHandle, wish: LogWish): Map<string, Buffer> {
  const api = libbpf();
  const logs = new Map<string, Buffer>();
  for (const program of programsOf(object)) {
    const log = Buffer.alloc(wish === 'never' ? HOST.verifierLogBytesMax : HOST.verifierWholeLogBytesMax);
    api.programSetLogBuffer(program, log, log.length);
    if (wish === 'always') api.programSetLogLevel(program, LOG_LEVEL_EACH_INSTRUCTION);
    logs.set(api.programName(program), log);
  }
  return logs;
}

/** Source: BPF_LOG_LEVEL2 of the kernel. Level 1 forgets the walk through a program that is taken. */
const LOG_LEVEL_EACH_INSTRUCTION = 2;

/** What the kernel wrote, up to its closing NUL. */
function textOf(log: Buffer): string {
  const end = log.indexOf(0);
  return log.toString('utf8', 0, end < 0 ? log.length : end).trimEnd();
}

/**
 * The part of a verifier log that a person needs: the last source line, the instruction and the complaint.
 * '' when the log is empty or ends in success.
 */
export function explainVerifierLog(program: string, log: Buffer): string {
  const lines = textOf(log)
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
