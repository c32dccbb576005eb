import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { Origin } from '#protocol/api/control.ts';

/** A resource as its author wrote it. */
export type WrittenResource = {
  origin: Origin;
  /** false: it was refused, or another description of the same resource counts. */
  inForce: boolean;
  /** What it says, which is read when it is asked for; null where it cannot be. */
  object(): object | null;
};

/** A resource that is to be written: its text as its author gave it, and the same as an object. */
export type NewResource = { name: ResourceName; text: string; object: object };

/**
 * Writes resources where a source reads them, for `weft apply` and those beside it. What is written is in force, or refused, when
 * the promise resolves. One at a time: of two that write at once the second sees what the first has written.
 */
export type ResourceEditor = {
  /** Every resource that is described, also where its description is not in force. */
  names(): Iterable<ResourceName>;
  /** What is written of a resource; null when nothing is. */
  find(name: ResourceName): WrittenResource | null;
  /** Puts a resource in the place of its former version, or beside the others. Returns where. Errors: WEFT_RESOURCE_WRITE. */
  put(resource: NewResource): Promise<Origin>;
  /** Takes every description of a resource away; false when there was none. Errors: WEFT_RESOURCE_WRITE. */
  remove(name: ResourceName): Promise<boolean>;
};
