import type { AutoGateway } from '#control-plane/index/index-delta.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';

/** What is to be done about the Gateway that nobody asked for by name. `ms` null: nothing until something changes. */
export type AutoGatewayStep = { kind: 'create' | 'activate' | 'remove' } | { kind: 'wait'; ms: number | null };

/** `unneededMs`: for how long nothing has needed it; null: something does. */
export function autoGatewayStep(
  { isNeeded, isThere, isReady, isActivated }: AutoGateway,
  unneededMs: number | null,
): AutoGatewayStep {
  if (!isThere) return isNeeded ? { kind: 'create' } : { kind: 'wait', ms: null };
  // Written also when nothing needs it now: what comes back within its time finds it as it was.
  if (isReady && !isActivated) return { kind: 'activate' };
  if (unneededMs === null) return { kind: 'wait', ms: null };
  const restMs = KUBERNETES.autoWaypointLingerMs - unneededMs;
  return restMs > 0 ? { kind: 'wait', ms: restMs } : { kind: 'remove' };
}
