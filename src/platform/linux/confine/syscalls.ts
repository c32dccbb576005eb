// Fixed by the kernel: numbers of calls, families, flags and of the machine code of filters (seccomp(2), linux/filter.h).
import { constants } from 'node:os';
import type { CapabilityName } from '#model/rights/capabilities.ts';

/** A call by its number on x86-64 and arm64, and on the 32-bit machines that these run programs of; null: not there. */
type Numbers = readonly [x64: number, arm64: number, i386: number | null, arm: number | null];

/** A call that needs no capability but would lead out, and the capabilities with which it is open all the same. */
type Rule = { numbers: Numbers; errno: number; open: readonly CapabilityName[]; when?: Condition };

/** When a call is refused: by 32 bits of one of its arguments. */
type Condition =
  | { argument: number; is: 'one of'; values: readonly number[] }
  | { argument: number; is: 'none of'; values: readonly number[] }
  | { argument: number; is: 'with bit'; values: readonly [number] };

const { EPERM, ENOSYS, EAFNOSUPPORT, EPROTONOSUPPORT } = constants.errno;
const CLONE_NEWUSER = 0x10000000;
const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET] = [1, 2, 10, 16, 17];
const IPPROTO_SMC = 256;
const [TIOCSTI, TIOCLINUX] = [0x5412, 0x541c];
const SOCKET: Numbers = [41, 198, 359, 281];

/** Who has SYS_ADMIN is outside anyway, and container tools leave him all of these. */
function rulesFor(added: readonly CapabilityName[]): Rule[] {
  const families = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, ...(added.includes('NET_RAW') ? [AF_PACKET] : [])];
  const admin = ['SYS_ADMIN'] as const;
  const namespaces = { argument: 0, is: 'with bit', values: [CLONE_NEWUSER] } as const;
  const all: Rule[] = [
    // In a user namespace of its own a process has every capability over what it makes there: most ways out of the kernel begin so.
    { numbers: [272, 97, 310, 337], errno: EPERM, open: admin, when: namespaces },
    { numbers: [56, 220, 120, 120], errno: EPERM, open: admin, when: namespaces },
    // Its flags lie in memory, where a filter cannot look; C libraries then call clone(2).
    { numbers: [435, 435, 435, 435], errno: ENOSYS, open: admin },
    // No other family is captured: vsock reaches the hypervisor, RDS and SMC make TCP connections of the kernel's own.
    { numbers: SOCKET, errno: EAFNOSUPPORT, open: admin, when: { argument: 0, is: 'none of', values: families } },
    { numbers: SOCKET, errno: EPROTONOSUPPORT, open: admin, when: { argument: 2, is: 'one of', values: [IPPROTO_SMC] } },
    // Types into the terminal of the shell that the workload was started from.
    { numbers: [16, 29, 54, 54], errno: EPERM, open: admin, when: { argument: 1, is: 'one of', values: [TIOCSTI, TIOCLINUX] } },
    { numbers: [321, 280, 357, 386], errno: EPERM, open: ['BPF', ...admin] },
    { numbers: [298, 241, 336, 364], errno: EPERM, open: ['PERFMON', ...admin] },
    { numbers: [304, 265, 342, 371], errno: EPERM, open: ['DAC_READ_SEARCH', ...admin] }, // open_by_handle_at
    { numbers: [323, 282, 374, 388], errno: EPERM, open: ['SYS_PTRACE', ...admin] }, // userfaultfd
    // Keys of who started the workload: rings are no namespace.
    { numbers: [248, 217, 286, 309], errno: EPERM, open: admin },
    { numbers: [249, 218, 287, 310], errno: EPERM, open: admin },
    { numbers: [250, 219, 288, 311], errno: EPERM, open: admin },
    // A ring does what calls do without making them: no filter sees it. Who has none cannot enter one, and `weft run` has its own.
    { numbers: [425, 425, 425, 425], errno: EPERM, open: admin },
    // Older than its parts, with arguments in memory: C libraries call these instead.
    { numbers: [-1, -1, 102, 102], errno: ENOSYS, open: admin },
  ];
  return all.filter(({ open }) => !open.some((name) => added.includes(name)));
}

/** Codes of the machine's instructions. */
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_BITS = 0x45;
const RETURN = 0x06;
const ALLOW = 0x7fff0000;
const ERRNO = 0x00050000;
/** Offsets of struct seccomp_data. */
const [NUMBER, ARCHITECTURE, ARGUMENTS] = [0, 4, 16];
/** Numbers from here on are those of x32. */
const X32 = 0x40000000;

const MACHINES = {
  x64: { native: { architecture: 0xc000003e, column: 0 }, compatible: { architecture: 0x40000003, column: 2 } },
  arm64: { native: { architecture: 0xc00000b7, column: 1 }, compatible: { architecture: 0x40000028, column: 3 } },
} as const;

/** A machine that there is a filter for. */
export type Machine = keyof typeof MACHINES;

/** One instruction: code, jumps when true and when false, operand. */
export type Instruction = readonly [code: number, yes: number, no: number, operand: number];

/**
 * The filter for what runs with these capabilities beyond a workload's. It allows what it does not name: capabilities, which the
 * kernel checks, do the rest. Calls of an unknown kind of machine code fail.
 */
export function syscallFilter(machine: Machine, added: readonly CapabilityName[]): Instruction[] {
  const rules = rulesFor(added);
  const { native, compatible } = MACHINES[machine];
  const body = blockOf(rules, native.column, machine === 'x64');
  const other = blockOf(rules, compatible.column, false);
  return [
    [LOAD, 0, 0, ARCHITECTURE],
    [JUMP_EQUAL, 1, 0, native.architecture],
    // A jump on a condition reaches 255 instructions, this one any.
    [0x05, 0, 0, body.length],
    ...body,
    [JUMP_EQUAL, 1, 0, compatible.architecture],
    [RETURN, 0, 0, ERRNO | ENOSYS],
    ...other,
  ];
}

function blockOf(rules: readonly Rule[], column: number, hasX32: boolean): Instruction[] {
  const x32: Instruction[] = hasX32
    ? [
        [JUMP_AT_LEAST, 0, 1, X32],
        [RETURN, 0, 0, ERRNO | ENOSYS],
      ]
    : [];
  return [
    [LOAD, 0, 0, NUMBER],
    ...x32,
    ...rules.flatMap(({ numbers, errno, when }) => {
      const call = numbers[column] ?? -1;
      return call < 0 ? [] : ruleOf(call, errno, when);
    }),
    [RETURN, 0, 0, ALLOW],
  ];
}

function ruleOf(call: number, errno: number, when: Condition | undefined): Instruction[] {
  const refuse: Instruction = [RETURN, 0, 0, ERRNO | errno];
  if (when === undefined) return [[JUMP_EQUAL, 0, 1, call], refuse];
  const { values } = when;
  const code = when.is === 'with bit' ? JUMP_BITS : JUMP_EQUAL;
  // From value `at` to the refusal, which follows the last one, and past it to where the number is loaded again.
  const [toRefusal, past] = [(at: number) => values.length - 1 - at, (at: number) => values.length - at];
  const tests = values.map((value, at): Instruction => {
    const last = at === values.length - 1;
    return when.is === 'none of' ? [code, past(at), last ? 0 : 0, value] : [code, toRefusal(at), last ? 1 : 0, value];
  });
  // Low half of the argument: both machines have it first.
  const body: Instruction[] = [[LOAD, 0, 0, ARGUMENTS + 8 * when.argument], ...tests, refuse, [LOAD, 0, 0, NUMBER]];
  return [[JUMP_EQUAL, 0, body.length, call], ...body];
}

/** The filter as the kernel reads it: struct sock_filter, one after the other. */
export function encodeFilter(filter: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(filter.length * 8);
  filter.forEach(([code, yes, no, operand], at) => {
    bytes.writeUInt16LE(code, at * 8);
    bytes.writeUInt8(yes, at * 8 + 2);
    bytes.writeUInt8(no, at * 8 + 3);
    bytes.writeUInt32LE(operand >>> 0, at * 8 + 4);
  });
  return bytes;
}
