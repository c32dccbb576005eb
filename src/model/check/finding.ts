import { CHECK } from '#model/settings/checks.ts';
import { CLUSTER_CODES } from './cluster-codes.ts';
import { HOST_CODES } from './host-codes.ts';
import { MESH_CODES } from './mesh-codes.ts';
import { AREAS, type Area, type CheckRow, type FindingLevel } from './row.ts';

/** Every code that `weft check` gives of itself; findings of resources have those of `weft validate`. */
export const CHECK_CODES: Readonly<Record<CheckCode, CheckRow>> = { ...HOST_CODES, ...MESH_CODES, ...CLUSTER_CODES };
/** One of them. */
export type CheckCode = keyof typeof HOST_CODES | keyof typeof MESH_CODES | keyof typeof CLUSTER_CODES;

/** One thing that is wrong. `why`: what follows from it; `remedy`: what to do. */
export type CheckFinding = {
  code: string;
  level: FindingLevel;
  area: Area;
  message: string;
  why: string;
  remedy: string;
};

/** A finding of a code; `remedy`: where it is known better than in general. */
export function found(code: CheckCode, message: string, remedy?: string): CheckFinding {
  const { area, level, why, remedy: usual } = CHECK_CODES[code];
  return { code, level, area, message, why, remedy: remedy ?? usual };
}

/** A finding of whatever code an error carries: what is not in the table is an error of `area`. */
export function foundAs(code: string, area: Area, message: string, remedy: string): CheckFinding {
  const known = (CHECK_CODES as Readonly<Record<string, CheckRow>>)[code];
  if (known !== undefined) return { code, level: known.level, area: known.area, message, why: known.why, remedy };
  return { code, level: 'error', area, message, why: 'A command would end with this error.', remedy };
}

/** What was looked at, and what was found there. */
export type CheckedArea = { area: Area; level: 'ok' | FindingLevel; findings: readonly CheckFinding[] };

/** The result of all checks. */
export type CheckReport = { level: 'ok' | FindingLevel; areas: readonly CheckedArea[] };

/** All areas with their findings, errors first; the level is that of the worst. */
export function reportOf(findings: readonly CheckFinding[]): CheckReport {
  const areas = AREAS.map((area) => {
    const own = findings.filter((finding) => finding.area === area).slice(0, CHECK.findingsMax);
    const sorted = [...own.filter(({ level }) => level === 'error'), ...own.filter(({ level }) => level === 'warning')];
    return { area, level: worst(sorted.map(({ level }) => level)), findings: sorted };
  });
  return { level: worst(areas.map(({ level }) => level)), areas };
}

function worst(levels: readonly ('ok' | FindingLevel)[]): 'ok' | FindingLevel {
  return levels.includes('error') ? 'error' : levels.includes('warning') ? 'warning' : 'ok';
}
