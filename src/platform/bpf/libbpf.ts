import koffi from 'koffi';
import { WeftError } from '#model/error.ts';
import { repeated, undisturbed } from './undisturbed.ts';

declare const brand: unique symbol;
type Handle<Name extends string> = { readonly [brand]: Name };
/** struct bpf_object. */
export type ObjectHandle = Handle<'object'>;
/** struct bpf_map. */
export type MapHandle = Handle<'map'>;
/** struct bpf_program. */
export type ProgramHandle = Handle<'program'>;
/** struct bpf_link. */
export type LinkHandle = Handle<'link'>;
/** struct ring_buffer. */
export type RingHandle = Handle<'ring'>;

/** Called for each record; 0 goes on, a negative number ends the reading. */
export type RingCallback = (context: unknown, data: unknown, size: number | bigint) => number;

/** The part of libbpf 1.x that Weft calls. Pointers are opaque; failures are null or a negative errno. */
export type Libbpf = {
  objectOpen(path: string, options: null): ObjectHandle | null;
  objectLoad(object: ObjectHandle): number;
  objectClose(object: ObjectHandle): void;
  nextMap(object: ObjectHandle, previous: MapHandle | null): MapHandle | null;
  nextProgram(object: ObjectHandle, previous: ProgramHandle | null): ProgramHandle | null;
  mapName(map: MapHandle): string;
  mapIsInternal(map: MapHandle): boolean;
  mapSetPinPath(map: MapHandle, path: string): number;
  mapSetInitialValue(map: MapHandle, value: Buffer, size: number): number;
  mapFd(map: MapHandle): number;
  mapValueSize(map: MapHandle): number;
  programName(program: ProgramHandle): string;
  programFd(program: ProgramHandle): number;
  programSetLogBuffer(program: ProgramHandle, buffer: Buffer, size: number): number;
  programSetLogLevel(program: ProgramHandle, level: number): number;
  /** A descriptor, or a negative errno. */
  mapCreate(type: number, name: string, keySize: number, valueSize: number, entriesMax: number, options: null): number;
  programLoad(type: number, name: string, license: string, instructions: Buffer, count: number, options: null): number;
  programAttach(programFd: number, targetFd: number, type: number, flags: number): number;
  attachCgroup(program: ProgramHandle, cgroupFd: number): LinkHandle | null;
  attachNetns(program: ProgramHandle, netnsFd: number): LinkHandle | null;
  /** A file descriptor, or a negative errno; `target`: a file descriptor or the index of an interface. */
  linkCreate(programFd: number, target: number, attachType: number, options: null): number;
  objectPin(fd: number, path: string): number;
  linkPin(link: LinkHandle, path: string): number;
  linkUnpin(link: LinkHandle): number;
  linkOpen(path: string): LinkHandle | null;
  linkUpdateProgram(link: LinkHandle, program: ProgramHandle): number;
  linkFd(link: LinkHandle): number;
  linkDetach(link: LinkHandle): number;
  linkDestroy(link: LinkHandle): number;
  filterHookCreate(hook: Buffer): number;
  filterAttach(hook: Buffer, options: Buffer): number;
  mapLookup(fd: number, key: Buffer, value: Buffer): number;
  /** Reads and deletes. */
  mapTake(fd: number, key: Buffer, value: Buffer): number;
  mapUpdate(fd: number, key: Buffer, value: Buffer, flags: bigint): number;
  mapDelete(fd: number, key: Buffer): number;
  mapNextKey(fd: number, key: Buffer | null, next: Buffer): number;
  pinnedGet(path: string): number;
  infoByFd(fd: number, info: Buffer, size: Buffer): number;
  possibleCpus(): number;
  ringNew(mapFd: number, callback: unknown, context: null, options: null): RingHandle | null;
  ringConsume(ring: RingHandle): number;
  ringFree(ring: RingHandle): void;
  probeHelper(programType: number, helper: number, options: null): number;
  probeMapType(mapType: number, options: null): number;
  probeProgramType(programType: number, options: null): number;
};

const ringCallback = koffi.proto('int weft_ring_callback(void *context, void *data, size_t size)');
let loaded: Libbpf | null = null;

/** libbpf.so.1, loaded once. Errors: WEFT_LIBBPF when the library is missing. */
export function libbpf(): Libbpf {
  loaded ??= loadLibbpf();
  return loaded;
}

/** Wraps a function so that libbpf can call it; release it with koffi.unregister. */
export function registerRingCallback(callback: RingCallback): ReturnType<typeof koffi.register> {
  return koffi.register(callback, koffi.pointer(ringCallback));
}

function openLibrary(): ReturnType<typeof koffi.load> {
  try {
    return koffi.load('libbpf.so.1');
  } catch (cause) {
    throw new WeftError('WEFT_LIBBPF', 'cannot load libbpf.so.1', {
      cause,
      remedy: 'install libbpf 1.x (Debian: apt-get install libbpf1)',
    });
  }
}

function loadLibbpf(): Libbpf {
  const library = openLibrary();
  // libbpf prints to stderr by default; verifier logs are collected per program instead.
  library.func('void *libbpf_set_print(void *function)')(null);
  // Whatever makes or changes something in the kernel is not to be cut short by a signal; nor is a look into a map.
  return {
    objectOpen: library.func('void *bpf_object__open_file(const char *path, const void *options)'),
    objectLoad: undisturbed(library.func('int bpf_object__load(void *object)')),
    objectClose: library.func('void bpf_object__close(void *object)'),
    nextMap: library.func('void *bpf_object__next_map(void *object, void *previous)'),
    nextProgram: library.func('void *bpf_object__next_program(void *object, void *previous)'),
    mapName: library.func('const char *bpf_map__name(void *map)'),
    mapIsInternal: library.func('bool bpf_map__is_internal(void *map)'),
    mapSetPinPath: library.func('int bpf_map__set_pin_path(void *map, const char *path)'),
    mapSetInitialValue: library.func('int bpf_map__set_initial_value(void *map, const void *value, size_t size)'),
    mapFd: library.func('int bpf_map__fd(void *map)'),
    mapValueSize: library.func('uint32_t bpf_map__value_size(void *map)'),
    programName: library.func('const char *bpf_program__name(void *program)'),
    programFd: library.func('int bpf_program__fd(void *program)'),
    programSetLogBuffer: library.func('int bpf_program__set_log_buf(void *program, void *buffer, size_t size)'),
    programSetLogLevel: library.func('int bpf_program__set_log_level(void *program, uint32_t level)'),
    mapCreate: undisturbed(
      library.func(
        'int bpf_map_create(int type, const char *name, uint32_t keySize, uint32_t valueSize, uint32_t entriesMax, const void *options)',
      ),
    ),
    programLoad: undisturbed(
      library.func(
        'int bpf_prog_load(int type, const char *name, const char *license, const void *instructions, size_t count, const void *options)',
      ),
    ),
    programAttach: undisturbed(library.func('int bpf_prog_attach(int program, int target, int type, unsigned int flags)')),
    attachCgroup: undisturbed(library.func('void *bpf_program__attach_cgroup(void *program, int fd)')),
    attachNetns: undisturbed(library.func('void *bpf_program__attach_netns(void *program, int fd)')),
    linkCreate: undisturbed(library.func('int bpf_link_create(int programFd, int target, int attachType, const void *options)')),
    objectPin: undisturbed(library.func('int bpf_obj_pin(int fd, const char *path)')),
    linkPin: undisturbed(library.func('int bpf_link__pin(void *link, const char *path)')),
    linkUnpin: undisturbed(library.func('int bpf_link__unpin(void *link)')),
    linkOpen: undisturbed(library.func('void *bpf_link__open(const char *path)')),
    linkUpdateProgram: undisturbed(library.func('int bpf_link__update_program(void *link, void *program)')),
    linkFd: library.func('int bpf_link__fd(void *link)'),
    linkDetach: undisturbed(library.func('int bpf_link__detach(void *link)')),
    linkDestroy: undisturbed(library.func('int bpf_link__destroy(void *link)')),
    filterHookCreate: undisturbed(library.func('int bpf_tc_hook_create(void *hook)')),
    filterAttach: undisturbed(library.func('int bpf_tc_attach(const void *hook, void *options)')),
    mapLookup: repeated(library.func('int bpf_map_lookup_elem(int fd, const void *key, void *value)')),
    mapTake: repeated(library.func('int bpf_map_lookup_and_delete_elem(int fd, const void *key, void *value)')),
    mapUpdate: repeated(library.func('int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)')),
    mapDelete: repeated(library.func('int bpf_map_delete_elem(int fd, const void *key)')),
    mapNextKey: repeated(library.func('int bpf_map_get_next_key(int fd, const void *key, void *next)')),
    pinnedGet: undisturbed(library.func('int bpf_obj_get(const char *path)')),
    infoByFd: undisturbed(library.func('int bpf_obj_get_info_by_fd(int fd, void *info, void *size)')),
    possibleCpus: library.func('int libbpf_num_possible_cpus(void)'),
    ringNew: undisturbed(
      library.func('void *ring_buffer__new(int fd, weft_ring_callback *callback, void *context, const void *options)'),
    ),
    ringConsume: library.func('int ring_buffer__consume(void *ring)'),
    ringFree: library.func('void ring_buffer__free(void *ring)'),
    probeHelper: undisturbed(library.func('int libbpf_probe_bpf_helper(int programType, int helper, const void *options)')),
    probeMapType: undisturbed(library.func('int libbpf_probe_bpf_map_type(int mapType, const void *options)')),
    probeProgramType: undisturbed(library.func('int libbpf_probe_bpf_prog_type(int programType, const void *options)')),
  };
}
