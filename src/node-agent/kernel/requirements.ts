import type { Log } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';

/** What the running kernel lacks, since which version others have it, and what is lost by it. */
export type MissingFeature = { feature: string; since: string; loss: string; fatal: boolean };

/**
 * Says what is lost on this kernel, one line each. Errors: WEFT_KERNEL when a feature is missing without which nothing
 * works: an agent that captured nothing would let everything out in plain text, so it does not start.
 */
export function requireFeatures(missing: readonly MissingFeature[], log: Log): void {
  for (const one of missing) log.warn({ feature: one.feature, since: one.since, loss: one.loss }, 'the kernel lacks a feature');
  const fatal = missing.filter((one) => one.fatal);
  if (fatal.length === 0) return;
  const list = fatal.map((one) => `${one.feature} (Linux ${one.since}): ${one.loss}`).join('; ');
  throw new WeftError('WEFT_KERNEL', `this kernel cannot run the data path: ${list}`, {
    remedy: 'run Linux 5.15 or newer with BTF, as root',
  });
}

/** What of the agent's service is lost on this machine, as `weft status` lists it. */
export function degradations(node: readonly string[], missing: readonly MissingFeature[]): string[] {
  return [...node, ...missing.map(({ feature, loss }) => `${feature} is missing: ${loss}`)];
}
