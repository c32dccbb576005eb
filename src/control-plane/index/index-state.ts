import type { IndexOutputs } from '#control-plane/index/index-outputs.ts';
import type { Invalidation } from '#control-plane/index/invalidation.ts';
import type { MeshInputs } from '#control-plane/index/mesh-inputs.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import type { VipAllocator } from '#control-plane/index/vip-allocator.ts';

/** What every stage of the index works on. */
export type IndexState = {
  options: MeshOptions;
  inputs: MeshInputs;
  outputs: IndexOutputs;
  invalidation: Invalidation;
  allocator: VipAllocator;
};
