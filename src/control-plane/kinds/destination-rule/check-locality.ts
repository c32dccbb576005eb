import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { SCOPE_OF_LABEL, splitLabel } from './read-locality.ts';
import type { RawLocality } from './schema.ts';

// As Istio's oneof would have them.
const LISTS = ['distribute', 'failover', 'failoverPriority'] as const;

/** What is wrong with how endpoints are to be preferred. `detects`: endpoints that fail are left out here, or by the level above. */
export function checkLocality(setting: RawLocality, path: FieldPath, detects: boolean): Problem[] {
  const written = LISTS.filter((list) => (setting[list] ?? []).length > 0);
  const [first, second] = written;
  const problems: Problem[] = [];
  if (second !== undefined) {
    const message = `${written.join(' and ')} exclude one another`;
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, second], message, `remove all but one, such as ${first}`));
  }
  // Shares hold whether anybody fails or not.
  const ordered = written.find((list) => list !== 'distribute');
  if (ordered !== undefined && !detects) {
    const message = 'without outlierDetection no endpoint is known to fail, so none is preferred and this has no effect';
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', [...path, ordered], message, 'add outlierDetection'));
  }
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  return [
    ...problems,
    ...distribute.flatMap((one, at) => checkShares(one, [...path, 'distribute', at])),
    ...failover.flatMap((one, at) => checkRegions(one, [...path, 'failover', at])),
    ...failoverPriority.flatMap((text, at) => checkLabel(text, [...path, 'failoverPriority', at])),
  ];
}

/** Shares that do not sum to the whole are those of somebody who forgot a place. */
function checkShares({ from = '', to = {} }: NonNullable<RawLocality['distribute']>[number], path: FieldPath): Problem[] {
  const problems = [from, ...Object.keys(to)].flatMap((place, at) =>
    isPlace(place)
      ? []
      : [
          errorAt(
            'WEFT_FIELD_INVALID',
            at === 0 ? [...path, 'from'] : [...path, 'to'],
            `"${place}" is no locality`,
            'write region/zone/subzone, of which parts at the end may be left out or be *',
          ),
        ],
  );
  // Percentages, as Istio has them.
  const weights = Object.values(to);
  const sum = weights.reduce((all, one) => all + one, 0);
  if (weights.some((weight) => weight < 1) || sum !== 100) {
    const message = `weights for from: ${from} are ${weights.join(', ') || 'none'}, and must be from 1 on and sum to 100`;
    problems.push(
      errorAt('WEFT_FIELD_INVALID', [...path, 'to'], message, 'write such weights; a place that is not listed gets nothing'),
    );
  }
  return problems;
}

/** A star stands for all that follows, so nothing does. */
function isPlace(place: string): boolean {
  const parts = place.split('/');
  const open = parts.indexOf('*');
  if (place === '' || parts.length > 3 || parts.some((part) => part === '')) return false;
  return open < 0 || (open === parts.length - 1 && parts.every((part) => part === '*' || !part.includes('*')));
}

/** Regions only, for their zones are nearer anyway. */
function checkRegions({ from = '', to = '' }: NonNullable<RawLocality['failover']>[number], path: FieldPath): Problem[] {
  const problems = Object.entries({ from, to }).flatMap(([field, region]) =>
    region !== '' && !/[/*]/.test(region)
      ? []
      : [errorAt('WEFT_FIELD_INVALID', [...path, field], `"${region}" is no region`, 'write the name of a region alone')],
  );
  if (problems.length === 0 && from === to) {
    const message = `region ${from} cannot be its own substitute`;
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'to'], message, 'write another region'));
  }
  return problems;
}

/** Waypoints know where endpoints run, and not their other labels. */
function checkLabel(text: string, path: FieldPath): Problem[] {
  const { label } = splitLabel(text);
  if (SCOPE_OF_LABEL[label] !== undefined) return [];
  const message = `${label || 'an empty label'} says nothing here of where an endpoint runs: the list ends before it`;
  const remedy = `remove it, or write one of ${Object.keys(SCOPE_OF_LABEL).join(', ')}`;
  return [warningAt('WEFT_FIELD_IGNORED', path, message, remedy)];
}
