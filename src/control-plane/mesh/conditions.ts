import type { Condition } from '#control-plane/index/index-delta.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';

/** A condition that holds. */
export function trueCondition(resource: ResourceName, type: string, reason: string, message: string): Condition {
  return { resource, type, status: 'True', reason, message };
}

/** A condition that does not hold. */
export function falseCondition(resource: ResourceName, type: string, reason: string, message: string): Condition {
  return { resource, type, status: 'False', reason, message };
}
