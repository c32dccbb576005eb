import assert from 'node:assert/strict';
import test from 'node:test';
import { WORKLOAD_FLAG } from '#model/kernel/abi.ts';
import { captureAnnotations, captureOf, captureProblems, workloadFlags } from './capture.ts';

const [INBOUND, DNS] = ['ambient.istio.io/bypass-inbound-capture', 'ambient.istio.io/dns-capture'] as const;

const TABLE: [annotations: Record<string, string> | undefined, inboundInClear: boolean, dns: boolean, problems: number][] = [
  [undefined, false, true, 0],
  [{}, false, true, 0],
  [{ [INBOUND]: 'true' }, true, true, 0],
  [{ [INBOUND]: 'T' }, true, true, 0],
  [{ [INBOUND]: 'false', [DNS]: 'true' }, false, true, 0],
  [{ [DNS]: 'false' }, false, false, 0],
  [{ [DNS]: '0', [INBOUND]: '1' }, true, false, 0],
  [{ [INBOUND]: 'yes', [DNS]: 'no' }, false, true, 2],
  [{ [INBOUND]: '', 'traffic.sidecar.istio.io/excludeInboundPorts': '80' }, false, true, 1],
];
for (const [annotations, inboundInClear, dns, problems] of TABLE) {
  test(`B69: capture by ${JSON.stringify(annotations)}`, () => {
    assert.deepEqual(captureOf(annotations), { inboundInClear, dns });
    assert.equal(captureProblems(annotations ?? {}).length, problems);
    assert.equal(workloadFlags({ nativeTunnel: false, annotations: annotations ?? {} }), dns ? 0 : WORKLOAD_FLAG.ownDns);
  });
}

test('other annotations are nothing of capture', () => {
  assert.deepEqual(captureAnnotations({ [DNS]: 'false', other: 'x' }), { [DNS]: 'false' });
  assert.equal(workloadFlags({ nativeTunnel: true }), WORKLOAD_FLAG.nativeTunnel);
});
