/**
 * Every code a finding can carry, with what it means. Codes are stable: scripts and the error
 * reference rely on them.
 */
export const FINDING_CODES = {
  WEFT_YAML_SYNTAX: 'A document is not valid YAML.',
  WEFT_RESOURCE_SHAPE: 'A document is not a resource: apiVersion, kind or metadata.name is missing or malformed.',
  WEFT_RESOURCE_DUPLICATE: 'Two documents describe the same resource; the first one is used.',
  WEFT_KIND_UNKNOWN: 'A resource of a kind that Weft does not read; it has no effect.',
  WEFT_VERSION_UNKNOWN: 'A resource of a known kind in an API version that Weft does not read.',
  WEFT_FIELD_UNKNOWN: 'A field that the resource does not have.',
  WEFT_FIELD_INVALID: 'A field whose value is missing, of the wrong type or out of range.',
  WEFT_FIELD_CONFLICT: 'Fields that exclude or require one another.',
  WEFT_LIKELY_MISTAKE: 'Valid, but it most likely does not do what was meant.',
  WEFT_NOT_ENFORCED: 'Something that cannot be enforced where it is asked for; it was refused or made stricter.',
  WEFT_REFERENCE_UNRESOLVED: 'A reference to something that does not exist.',
  WEFT_WAYPOINT_UNUSABLE: 'A waypoint that is named but cannot be used; traffic that needs it is refused.',
  WEFT_ADDRESS_CONFLICT: 'An address that could not be given out, or that two resources claim.',
  WEFT_WORKLOAD_DUPLICATE: 'Two nodes registered a workload of the same name.',
} as const;

/** One of the codes above. */
export type FindingCode = keyof typeof FINDING_CODES;
