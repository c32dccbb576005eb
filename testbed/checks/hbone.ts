import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { FAMILIES, vip } from '#testbed/mesh/shop.ts';
import { captured } from '#testbed/observe/capture.ts';
import { reportWire } from '#testbed/observe/wire-report.ts';
import type { Check } from './check.ts';
import { expect } from './check.ts';
import { expectEcho } from './echo-calls.ts';

const MARKER_COPIES = 4_000;

/** Between nodes there is TLS 1.3 on port 15008 and nothing else; the server still sees the client's address. */
export const hbone: Check = {
  name: 'hbone',
  path: 'hbone',
  timeoutMs: 40_000,
  async run(mesh) {
    const marker = randomBytes(32).toString('hex');
    const send = marker.repeat(MARKER_COPIES);
    const { file } = await captured(mesh.plan.nodes.alpha.netns, join(mesh.plan.runDir, 'hbone.pcap'), 'tcp', async () => {
      // A workload that never called before: its handshake is in the capture.
      const courier = await mesh.runProbe('courier', 'alpha');
      try {
        for (const family of FAMILIES) await expectEcho(courier, mesh.app('courier'), family, vip('echo-far', family), { send });
      } finally {
        await mesh.stopWorkload('courier');
      }
    });
    const { problems, handshakes, encryptedBytes } = reportWire(file);
    expect(problems.length === 0, `on the link: ${problems.slice(0, 3).join('; ')}`);
    expect(handshakes > 0, 'no TLS 1.3 handshake in the capture');
    // Every copy crossed twice per family: what is encrypted must have room for it.
    const sentBytes = send.length * 2 * FAMILIES.length;
    expect(encryptedBytes >= sentBytes, `only ${encryptedBytes} encrypted bytes on the link for ${sentBytes} sent and echoed`);
    expect(!file.includes(marker), 'the payload is readable on the link');
    return `${handshakes} TLS 1.3 handshakes, ${encryptedBytes} encrypted bytes to port 15008 and nothing else on the link; the server saw the client's address`;
  },
};
