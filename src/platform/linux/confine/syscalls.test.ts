import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import type { CapabilityName } from '#model/rights/capabilities.ts';
import { encodeFilter, type Instruction, type Machine, syscallFilter } from './syscalls.ts';

const { EPERM, ENOSYS, EAFNOSUPPORT, EPROTONOSUPPORT } = constants.errno;
const X64 = 0xc000003e;
const I386 = 0x40000003;
const ARM64 = 0xc00000b7;
const ARM = 0x40000028;

/** What the kernel would do with a call: 'allow', or the error. */
function judge(
  filter: readonly Instruction[],
  architecture: number,
  number: number,
  args: readonly number[] = [],
): 'allow' | number {
  let value = 0;
  for (let at = 0; ; at += 1) {
    const [code, yes, no, operand] = filter[at] ?? assert.fail('ran off the end');
    if (code === 0x20) value = operand === 0 ? number : operand === 4 ? architecture : (args[(operand - 16) / 8] ?? 0);
    else if (code === 0x05) at += operand;
    else if (code === 0x15) at += value === operand ? yes : no;
    else if (code === 0x35) at += value >= operand ? yes : no;
    else if (code === 0x45) at += (value & operand) !== 0 ? yes : no;
    else if (code === 0x06) return operand === 0x7fff0000 ? 'allow' : operand & 0xffff;
    else assert.fail(`unknown instruction ${code}`);
  }
}

const NEWUSER = 0x10000000;
const cases: {
  what: string;
  machine: Machine;
  architecture: number;
  call: number;
  args?: number[];
  added?: CapabilityName[];
  want: 'allow' | number;
}[] = [
  { what: 'read', machine: 'x64', architecture: X64, call: 0, want: 'allow' },
  { what: 'the last call there is', machine: 'x64', architecture: X64, call: 467, want: 'allow' },
  { what: 'a call of x32', machine: 'x64', architecture: X64, call: 0x40000000 + 41, want: ENOSYS },
  { what: 'another kind of machine code', machine: 'x64', architecture: ARM64, call: 0, want: ENOSYS },
  { what: 'unshare(mount)', machine: 'x64', architecture: X64, call: 272, args: [0x20000], want: 'allow' },
  { what: 'unshare(user)', machine: 'x64', architecture: X64, call: 272, args: [NEWUSER], want: EPERM },
  { what: 'unshare(user and network)', machine: 'x64', architecture: X64, call: 272, args: [NEWUSER | 0x40000000], want: EPERM },
  { what: 'clone of a thread', machine: 'x64', architecture: X64, call: 56, args: [0x3d0f00], want: 'allow' },
  { what: 'clone(user)', machine: 'x64', architecture: X64, call: 56, args: [NEWUSER | 17], want: EPERM },
  { what: 'clone3', machine: 'x64', architecture: X64, call: 435, want: ENOSYS },
  { what: 'socket(unix)', machine: 'x64', architecture: X64, call: 41, args: [1, 1, 0], want: 'allow' },
  { what: 'socket(inet)', machine: 'x64', architecture: X64, call: 41, args: [2, 1, 6], want: 'allow' },
  { what: 'socket(inet6, mptcp)', machine: 'x64', architecture: X64, call: 41, args: [10, 1, 262], want: 'allow' },
  { what: 'socket(netlink)', machine: 'x64', architecture: X64, call: 41, args: [16, 3, 0], want: 'allow' },
  { what: 'socket(inet, smc)', machine: 'x64', architecture: X64, call: 41, args: [2, 1, 256], want: EPROTONOSUPPORT },
  ...[17, 21, 24, 30, 31, 38, 40, 42, 43, 44].map((family) => ({
    ...{ what: `socket(family ${family})`, machine: 'x64' as const, architecture: X64, call: 41 },
    ...{ args: [family, 1, 0], want: EAFNOSUPPORT },
  })),
  {
    what: 'socket(packet) with NET_RAW',
    machine: 'x64',
    architecture: X64,
    call: 41,
    args: [17, 3, 3],
    added: ['NET_RAW'],
    want: 'allow',
  },
  {
    what: 'socket(vsock) with NET_RAW',
    machine: 'x64',
    architecture: X64,
    call: 41,
    args: [40, 1, 0],
    added: ['NET_RAW'],
    want: EAFNOSUPPORT,
  },
  { what: 'ioctl(TCGETS)', machine: 'x64', architecture: X64, call: 16, args: [0, 0x5401], want: 'allow' },
  { what: 'ioctl(TIOCSTI)', machine: 'x64', architecture: X64, call: 16, args: [0, 0x5412], want: EPERM },
  { what: 'ioctl(TIOCLINUX)', machine: 'x64', architecture: X64, call: 16, args: [0, 0x541c], want: EPERM },
  ...[321, 298, 304, 323, 248, 249, 250, 425].map((call) => ({
    ...{ what: `call ${call}`, machine: 'x64' as const, architecture: X64, call, want: EPERM },
  })),
  { what: 'bpf with BPF', machine: 'x64', architecture: X64, call: 321, added: ['BPF'], want: 'allow' },
  { what: 'unshare(user) with BPF', machine: 'x64', architecture: X64, call: 272, args: [NEWUSER], added: ['BPF'], want: EPERM },
  {
    what: 'unshare(user) with SYS_ADMIN',
    machine: 'x64',
    architecture: X64,
    call: 272,
    args: [NEWUSER],
    added: ['SYS_ADMIN'],
    want: 'allow',
  },
  { what: 'keyctl with SYS_ADMIN', machine: 'x64', architecture: X64, call: 250, added: ['SYS_ADMIN'], want: 'allow' },
  { what: 'i386: read', machine: 'x64', architecture: I386, call: 3, want: 'allow' },
  { what: 'i386: unshare(user)', machine: 'x64', architecture: I386, call: 310, args: [NEWUSER], want: EPERM },
  { what: 'i386: socket(vsock)', machine: 'x64', architecture: I386, call: 359, args: [40], want: EAFNOSUPPORT },
  { what: 'i386: socketcall', machine: 'x64', architecture: I386, call: 102, want: ENOSYS },
  { what: 'i386: number of x86-64’s bpf', machine: 'x64', architecture: I386, call: 321, want: 'allow' },
  { what: 'i386: bpf', machine: 'x64', architecture: I386, call: 357, want: EPERM },
  { what: 'arm64: unshare(user)', machine: 'arm64', architecture: ARM64, call: 97, args: [NEWUSER], want: EPERM },
  { what: 'arm64: clone of a process', machine: 'arm64', architecture: ARM64, call: 220, args: [17], want: 'allow' },
  { what: 'arm64: socket(vsock)', machine: 'arm64', architecture: ARM64, call: 198, args: [40], want: EAFNOSUPPORT },
  { what: 'arm64: bpf', machine: 'arm64', architecture: ARM64, call: 280, want: EPERM },
  {
    what: 'arm64: getuid, whose number is socketcall’s elsewhere',
    machine: 'arm64',
    architecture: ARM64,
    call: 102,
    want: 'allow',
  },
  { what: 'arm: keyctl', machine: 'arm64', architecture: ARM, call: 311, want: EPERM },
  { what: 'arm: x86-64’s code', machine: 'arm64', architecture: X64, call: 0, want: ENOSYS },
];
for (const { what, machine, architecture, call, args, added = [], want } of cases)
  test(`${what}: ${want}`, () => assert.equal(judge(syscallFilter(machine, added), architecture, call, args), want));

test('a filter is as long as the kernel allows, and eight bytes each', () => {
  for (const machine of ['x64', 'arm64'] as const) {
    const filter = syscallFilter(machine, []);
    assert.ok(filter.length < 4096);
    assert.equal(encodeFilter(filter).length, filter.length * 8);
  }
  assert.equal(encodeFilter([[0x15, 1, 2, 0xc000003e]]).toString('hex'), '150001023e0000c0');
});
