import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { HOST } from '#model/settings/host.ts';
import { withoutBpf } from './kernel-calls.testing.ts';
import { explainVerifierLog, type LogWish, loadObject, logWish } from './object.ts';

const ROOT = join(import.meta.dirname, '../../..');
const LOG = [
  'func#0 @0',
  '; flow.source = ops_remote_ip(ctx); @ flow.h:36',
  '83: (61) r3 = *(u32 *)(r3 +0)',
  'dereference of modified ctx ptr R3 off=24 disallowed',
  'processed 92 insns (limit 1000000) max_states_per_insn 0 total_states 8',
  'verification time 210 usec',
].join('\n');

test('a verifier log becomes the complaint, the source line and the instruction', () => {
  assert.equal(
    explainVerifierLog('weft_flow', Buffer.from(`${LOG}\0rest of the buffer`)),
    [
      'program weft_flow: dereference of modified ctx ptr R3 off=24 disallowed',
      '  at ; flow.source = ops_remote_ip(ctx); @ flow.h:36',
      '  at 83: (61) r3 = *(u32 *)(r3 +0)',
    ].join('\n'),
  );
});
test('an empty log explains nothing', () => assert.equal(explainVerifierLog('p', Buffer.alloc(8)), ''));
test('an object that is not there is an error with its remedy', () => {
  assert.throws(() => loadObject('/nonexistent.o', () => null, null), { code: 'WEFT_BPF_OPEN' });
});
test('WEFT_BPF_LOG is 1, 2 or nothing', () => {
  assert.deepEqual([undefined, '', '0', '1', '2'].map(logWish), ['never', 'never', 'never', 'refusal', 'always']);
  assert.throws(() => logWish('yes'), { code: 'WEFT_SETTING', message: /WEFT_BPF_LOG is "yes"/ });
});

/** The verifier refuses the first: the element may be missing. */
const SOURCES = {
  refused: 'return *(__u32 *)bpf_map_lookup_elem(&numbers, &key);',
  taken: '__u32 *found = bpf_map_lookup_elem(&numbers, &key); return found ? *found : 0;',
};
const clang = spawnSync('clang', ['--version']).status === 0;
const skip = withoutBpf !== false ? withoutBpf : clang ? false : 'MISSING: clang, so no program was refused';

describe('the verifier', { skip }, () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-object-'));
  before(() => {
    for (const [name, body] of Object.entries(SOURCES)) {
      const lines = [
        '#include <linux/bpf.h>',
        '#include <bpf/bpf_helpers.h>',
        'struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); } numbers SEC(".maps");',
        `SEC("tc") int weft_${name}(struct __sk_buff *skb) { __u32 key = skb->len; ${body} }`,
        'char LICENSE[] SEC("license") = "GPL";',
      ];
      writeFileSync(join(dir, `${name}.bpf.c`), lines.join('\n'));
    }
    execFileSync(join(ROOT, 'scripts/compile-bpf'), [dir, dir], { stdio: 'pipe' });
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  /** What is printed while one of the objects is loaded, and the error if there is one. */
  function load(name: keyof typeof SOURCES, wish: LogWish): { printed: string; error: Error | null } {
    let printed = '';
    const print = (text: string): void => {
      printed += text;
    };
    try {
      loadObject(join(dir, `${name}.o`), () => null, null, { wish, print }).close();
      return { printed, error: null };
    } catch (error) {
      return { printed, error: error as Error };
    }
  }

  test('that refuses is quoted with the lines that matter, and prints nothing unasked', () => {
    const { printed, error } = load('refused', 'never');
    assert.match(
      error?.message ?? '',
      /EACCES\nprogram weft_refused: R0 invalid mem access 'map_value_or_null'\n {2}at ; .*\n {2}at \d+: /,
    );
    assert.equal((error as { code?: string } | null)?.code, 'WEFT_BPF_LOAD');
    assert.equal(printed, '');
  });

  for (const wish of ['refusal', 'always'] as const)
    test(`that refuses prints all of its log when that is wished for (${wish})`, () => {
      const { printed } = load('refused', wish);
      assert.match(printed, /^-- .*refused\.o, program weft_refused\n/);
      assert.match(printed, /\n0: .*\n[\s\S]*processed \d+ insns/);
    });

  test('that is content prints its log only when it is always wished for', () => {
    assert.deepEqual(load('taken', 'refusal'), { printed: '', error: null });
    const { printed, error } = load('taken', 'always');
    assert.equal(error, null);
    assert.match(printed, /program weft_taken\n[\s\S]*processed \d+ insns/);
  });

  test('says everything about the longest program within the bound of a whole log', () => {
    let longest = 0;
    for (const name of ['connect', 'datagram', 'flow', 'lookup'])
      loadObject(join(ROOT, `build/bpf/${name}.o`), () => null, null, {
        wish: 'always',
        print: (text) => {
          assert.match(text, /processed \d+ insns/);
          longest = Math.max(longest, text.length);
        },
      }).close();
    assert.ok(longest > 50_000 && longest < (3 / 4) * HOST.verifierWholeLogBytesMax, `the longest log has ${longest} bytes`);
  });

  test('data is written when the object has so much of it, and refused otherwise', () => {
    const [lookup, connect] = ['lookup', 'connect'].map((name) =>
      loadObject(join(ROOT, `build/bpf/${name}.o`), () => null, null),
    );
    try {
      lookup?.setData(Buffer.alloc(8, 1));
      assert.throws(() => lookup?.setData(Buffer.alloc(4)), {
        code: 'WEFT_BPF_LOAD',
        message: /of 8 bytes, cannot be made 4 bytes/,
      });
      assert.throws(() => connect?.setData(Buffer.alloc(8)), { code: 'WEFT_BPF_LOAD', message: /of 0 bytes/ });
    } finally {
      for (const one of [lookup, connect]) one?.close();
    }
  });

  test('constants of another size are refused: they would silently stay what C says', () => {
    assert.throws(() => loadObject(join(ROOT, 'build/bpf/connect.o'), () => null, Buffer.alloc(8)), {
      code: 'WEFT_BPF_LOAD',
      message: /have 4 bytes, not 8/,
    });
  });
});
