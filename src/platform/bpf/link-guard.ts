import { closeSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { LINK_CAUSES } from '#model/kernel/abi.ts';
import type { MapKey, MapValue } from '#model/kernel/maps.ts';
import { errnoName, interfaceIndex, interfaceName } from '#platform/ffi/libc.ts';
import { type LinkHandle, libbpf, type ProgramHandle } from './libbpf.ts';
import { interfaceOf, type Links } from './links.ts';
import type { BpfMap } from './map.ts';

/** The host's end of a workload's link, and the address that the workload's end has. */
export type WorkloadLink = { device: string; mac: string };

/** Source: enum bpf_attach_type of the kernel; tcx exists since 6.6. */
const TCX_INGRESS = 46;
const [EEXIST, ENODEV] = [17, 19];
const PIN_PREFIX = 'link_';

/** The index of an interface of this network namespace. Errors: WEFT_BPF_ATTACH when there is none. */
export function indexOfLink({ device }: WorkloadLink): number {
  const index = interfaceIndex(device);
  if (index !== 0) return index;
  throw new WeftError('WEFT_BPF_ATTACH', `there is no interface ${device} to guard`, { remedy: 'the workload may have ended' });
}

/**
 * Puts the guard's program on what comes in by an interface, or swaps it at once for the one that is there. `pins`: where
 * `links` pins. Errors: WEFT_BPF_ATTACH.
 */
export function attachGuard(links: Links, program: ProgramHandle, index: number, pins: string): void {
  sweepGuards(pins);
  if (!hasTcx(program)) {
    attachGuardFilter(program, index);
    return;
  }
  const attach = (): LinkHandle => attachGuardLink(program, index, pins);
  // Indexes of interfaces only rise, so a link of that name is of this interface, unless it is gone.
  links.attach({
    name: `${PIN_PREFIX}${index}`,
    program,
    attach,
    target: `interface ${index}`,
    isHere: (link) => interfaceOf(link) !== 0,
  });
}

/** An interface that is gone leaves its link, with nothing behind it; one that is there keeps its guard, enrolled or not. */
export function isOfLivingInterface(name: string, link: LinkHandle): boolean {
  return name.startsWith(PIN_PREFIX) && interfaceOf(link) !== 0;
}

/** Whether links to interfaces exist (Linux 6.6): then it is the interface that is found missing. */
function hasTcx(program: ProgramHandle): boolean {
  return libbpf().linkCreate(libbpf().programFd(program), 0, TCX_INGRESS, null) === -ENODEV;
}

/**
 * Writes down who is behind a link. The counts of an entry for the same namespace go on: an agent that adopts a workload
 * did not see what was dropped before.
 */
export function rememberLink(
  links: BpfMap<MapKey<'links'>, MapValue<'links'>>,
  index: number,
  { mac }: WorkloadLink,
  netnsCookie: bigint,
): void {
  const before = links.get(index);
  const nothing = LINK_CAUSES.map(() => 0n);
  const counts = before?.netnsCookie === netnsCookie ? before : { dropped: nothing, toldNs: nothing };
  links.set(index, { netnsCookie, mac, dropped: counts.dropped, toldNs: counts.toldNs });
}

/** Forgets what was written of a namespace's links. The programs stay and let nothing pass until their interface is gone. */
export function forgetLinks(links: BpfMap<MapKey<'links'>, MapValue<'links'>>, netnsCookie: bigint): void {
  for (const [index, link] of links.entries()) if (link.netnsCookie === netnsCookie) links.delete(index);
}

/** libbpf 1.1 knows no such links: it makes a handle only of what is pinned, so it is, for a moment. */
function attachGuardLink(program: ProgramHandle, index: number, pins: string): LinkHandle {
  const api = libbpf();
  const fd = api.linkCreate(api.programFd(program), index, TCX_INGRESS, null);
  if (fd < 0) throw cannotGuard(index, fd);
  const place = join(pins, `making_${index}`);
  const failed = api.objectPin(fd, place);
  closeSync(fd); // the pin holds it
  const link = failed === 0 ? api.linkOpen(place) : null;
  if (link === null) throw cannotGuard(index, failed);
  api.linkUnpin(link);
  return link;
}

/**
 * For older kernels: a tc filter, which lives as long as its interface and needs no pin; one that is there is replaced at
 * once. Errors: WEFT_BPF_ATTACH.
 */
export function attachGuardFilter(program: ProgramHandle, index: number): void {
  const api = libbpf();
  // struct bpf_tc_hook: its own size in 8 bytes, the interface, where (1: what comes in), the parent.
  const hook = Buffer.alloc(24);
  hook.writeBigUInt64LE(24n, 0);
  hook.writeInt32LE(index, 8);
  hook.writeUInt32LE(1, 12);
  const made = api.filterHookCreate(hook);
  if (made !== 0 && made !== -EEXIST) throw cannotGuard(index, made);
  // struct bpf_tc_opts: its own size in 8 bytes, the program, flags (1: replace), the program's id, handle, priority.
  const options = Buffer.alloc(32);
  options.writeBigUInt64LE(32n, 0);
  options.writeInt32LE(api.programFd(program), 8);
  options.writeUInt32LE(1, 12);
  options.writeUInt32LE(1, 20);
  options.writeUInt32LE(1, 24);
  const failed = api.filterAttach(hook, options);
  if (failed !== 0) throw cannotGuard(index, failed);
}

/** Takes away the pins of guards whose interface is gone: they hold a program that nothing can run any more. */
function sweepGuards(pins: string): void {
  const name = Buffer.alloc(16);
  for (const pin of readdirSync(pins)) {
    if (pin.startsWith(PIN_PREFIX) && interfaceName(Number(pin.slice(PIN_PREFIX.length)), name) === null)
      unlinkSync(join(pins, pin));
  }
}

function cannotGuard(index: number, code: number): WeftError {
  return new WeftError('WEFT_BPF_ATTACH', `cannot guard interface ${index}: ${errnoName(code)}`, {
    remedy: 'run as root, on a kernel with CONFIG_NET_CLS_ACT and CONFIG_NET_CLS_BPF (tc filters), or 6.6 and newer',
  });
}
