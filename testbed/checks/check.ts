import type { DemoMesh } from '#testbed/mesh/demo-mesh.ts';

/** One check of the demo: something the mesh promises, shown from outside. */
export type Check = {
  name: string;
  /** The path of DESIGN section 2 that it is about; `-` for those about several. */
  path: string;
  timeoutMs: number;
  /** What was seen, in one line. Rejects when it is not as promised; a `CheckFailure` says why. */
  run(mesh: DemoMesh): Promise<string>;
};

/** How one check went; `detail` is what was seen, or why it failed. */
export type CheckResult = { name: string; path: string; ok: boolean; detail: string };

/** What a check saw is not what the mesh promises. */
export class CheckFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CheckFailure';
  }
}

/** Fails the check with `message` unless `condition` holds. */
export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new CheckFailure(message);
}

/** Fails the check unless `seen` is `wanted`; `what` names the thing. */
export function expectEqual(seen: string | number | null | undefined, wanted: string | number | null, what: string): void {
  expect(seen === wanted, `${what} is ${String(seen)}, not ${String(wanted)}`);
}
