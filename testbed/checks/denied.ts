import { FAMILIES, vip } from '#testbed/mesh/shop.ts';
import type { Check } from './check.ts';
import { expect } from './check.ts';
import { expectEcho, expectNoEcho, expectRefused } from './echo-calls.ts';
import { expectLogLine, logEnd } from './log-search.ts';

const CACHED_WITHIN_MS = 2_000;

/** A denied service account gets ECONNREFUSED from connect(), and the log says which rule of which policy did it. */
export const denied: Check = {
  name: 'denied',
  path: 'denied',
  timeoutMs: 20_000,
  async run(mesh) {
    const stranger = mesh.probe('stranger');
    const { logPath } = mesh.agent('alpha');
    const logFrom = await logEnd(logPath);
    let calls = 0;
    for (const family of FAMILIES) {
      calls += await expectRefused(stranger, vip('echo-near', family), CACHED_WITHIN_MS);
      await expectEcho(mesh.probe('shopper'), mesh.app('shopper'), family, vip('echo-near', family));
    }
    expect(calls === FAMILIES.length, `refused only after ${calls} calls: the verdict was not there before the first connection`);
    const far = await expectNoEcho(stranger, vip('echo-far', 4));
    await expectLogLine(logPath, logFrom, [/no-strangers/, /rule/i, /stranger/]);
    return `ECONNREFUSED over IPv4 and IPv6 at the first call, ${String(far.error)} at ${far.stage} from the other node; the log names bookshop/no-strangers and its rule`;
  },
};
