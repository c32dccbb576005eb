import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseIp as at } from '#model/address/ip.ts';
import { REASON } from '#model/kernel/abi.ts';
import { ip, struct, u8, u16, u32 } from '#model/kernel/layout.ts';
import { PORT } from '#model/mesh/ports.ts';
import { runProgram } from '#platform/bpf/kernel-calls.testing.ts';
import { type LoadedProgram, loadProgram, withoutPrograms } from './loaded.testing.ts';

/** Twins of the contexts in decisions.bpf.c. */
const VERDICT = struct('test_verdict', { sourceId: u32, destinationId: u32, generation: u32, port: u16, pad0: u16 });
const FLOW = struct('test_flow', { destinationPort: u16, outboundPort: u16, reason: u16, pad0: u16 });
const IP = struct('test_ip', {
  v4: u32,
  ip,
  mapped: ip,
  loopback: ip,
  home: ip,
  isV4: u8,
  isZero: u8,
  staysHome: u8,
  equalsMapped: u8,
});

describe('smaller decisions', { skip: withoutPrograms }, () => {
  let loaded: LoadedProgram;
  before(() => {
    loaded = loadProgram('tests', 'decisions');
  });
  after(() => loaded?.close());
  const returned = (program: string, context: Buffer): number | undefined =>
    runProgram(loaded.program(program), context, true)?.returned;

  test('a cached verdict counts for its pair, its port and its generation only', () => {
    const asked = { sourceId: 1, destinationId: 2, generation: 3, port: 80 };
    const [UNKNOWN, ALLOW, DENY] = [0, 1, 2];
    const judge = (change: Partial<typeof asked>) => returned('test_verdict', VERDICT.encode({ ...asked, ...change }));
    assert.equal(judge({}), UNKNOWN);
    loaded.map('verdicts').set({ sourceId: 1, destinationId: 2, port: 80 }, { generation: 3, allow: 1 });
    assert.equal(judge({}), ALLOW);
    for (const other of [{ sourceId: 9 }, { destinationId: 9 }, { port: 81 }, { generation: 2 }, { generation: 4 }])
      assert.equal(judge(other), UNKNOWN, JSON.stringify(other));
    loaded.map('verdicts').set({ sourceId: 1, destinationId: 2, port: 80 }, { generation: 3, allow: 0 });
    assert.equal(judge({}), DENY);
  });

  test('a flow is captured by where it goes, and attested by why it goes there', () => {
    const record = (destinationPort: number, reason: number) =>
      returned('test_record', FLOW.encode({ destinationPort, outboundPort: PORT.outbound, reason }));
    const [NEITHER, CAPTURED, ATTESTED] = [0, 1, 2];
    assert.equal(record(PORT.outbound, REASON.hbone), CAPTURED);
    assert.equal(record(PORT.outbound, REASON.waypoint), CAPTURED, 'a waypoint elsewhere');
    assert.equal(record(PORT.waypoint, REASON.waypoint), ATTESTED, 'a waypoint of this node');
    assert.equal(record(8080, REASON.direct), ATTESTED);
    for (const reason of [REASON.none, REASON.evaluate, REASON.hbone, REASON.dns, REASON.agentService])
      assert.equal(record(8080, reason), NEITHER, `reason ${reason}`);
  });

  const ADDRESSES = [
    { text: '10.1.2.3', isV4: 1, staysHome: 0, loopback: '127.0.0.1', home: '10.1.2.3' },
    { text: '127.0.0.1', isV4: 1, staysHome: 1, loopback: '127.0.0.1', home: '10.1.2.3' },
    { text: '127.255.0.9', isV4: 1, staysHome: 1, loopback: '127.0.0.1', home: '10.1.2.3' },
    { text: '0.0.0.0', isV4: 1, staysHome: 1, loopback: '127.0.0.1', home: '10.1.2.3' },
    { text: '128.0.0.1', isV4: 1, staysHome: 0, loopback: '127.0.0.1', home: '10.1.2.3' },
    { text: '::1', isV4: 0, staysHome: 1, loopback: '::1', home: '::1' },
    { text: '::2', isV4: 0, staysHome: 0, loopback: '::1', home: '::1' },
    { text: '::fffe:10.1.2.3', isV4: 0, staysHome: 0, loopback: '::1', home: '::1' },
    { text: 'fd00::1', isV4: 0, staysHome: 0, loopback: '::1', home: '::1' },
  ];
  const V4 = Buffer.from([10, 1, 2, 3]).readUInt32LE();
  for (const { text, isV4, staysHome, loopback, home } of ADDRESSES) {
    test(`the address ${text} is read as it is written on the wire`, () => {
      const empty = { mapped: null, loopback: null, home: null, isV4: 9, isZero: 9, staysHome: 9, equalsMapped: 9 };
      const run = runProgram(loaded.program('test_ip'), IP.encode({ v4: V4, ip: at(text), ...empty }), true);
      assert.deepEqual(run === null ? null : IP.decode(run.context), {
        v4: V4,
        ip: at(text),
        mapped: at('10.1.2.3'),
        loopback: at(loopback),
        home: at(home),
        isV4,
        isZero: 0,
        staysHome,
        equalsMapped: text === '10.1.2.3' ? 1 : 0,
      });
    });
  }

  test('no address at all is zero, and :: means the workload itself', () => {
    const empty = { mapped: null, loopback: null, home: null, isV4: 9, isZero: 9, staysHome: 9, equalsMapped: 9 };
    const run = runProgram(loaded.program('test_ip'), IP.encode({ v4: 0, ip: null, ...empty }), true);
    const answer = run === null ? null : IP.decode(run.context);
    assert.deepEqual([answer?.isZero, answer?.staysHome, answer?.isV4], [1, 1, 0]);
  });
});
