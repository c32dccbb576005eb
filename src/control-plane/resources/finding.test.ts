import assert from 'node:assert/strict';
import test from 'node:test';
import { errorAt, type FieldPath, findingOf, formatFieldPath, formatFindings, warningAt } from './finding.ts';

const paths: { path: FieldPath; text: string }[] = [
  { path: [], text: '' },
  { path: ['spec', 'rules', 0, 'from', 12, 'source'], text: 'spec.rules[0].from[12].source' },
  { path: ['metadata', 'labels', 'istio.io/use-waypoint'], text: 'metadata.labels["istio.io/use-waypoint"]' },
  { path: ['spec', 'portLevelMtls', '8080'], text: 'spec.portLevelMtls["8080"]' },
];
for (const { path, text } of paths) {
  test(`a path is written ${text || 'as nothing for the whole document'}`, () => assert.equal(formatFieldPath(path), text));
}

test('findings are printed in order of place, with code and remedy, and counted', () => {
  const late = findingOf(warningAt('WEFT_LIKELY_MISTAKE', ['spec'], 'odd', 'think'), 'Pod a/b', 'a.yaml', { line: 9, column: 1 });
  const early = findingOf(errorAt('WEFT_FIELD_INVALID', ['spec', 'x'], 'bad', 'mend'), 'Pod a/b', 'a.yaml', {
    line: 2,
    column: 3,
  });
  const syntax = findingOf(errorAt('WEFT_YAML_SYNTAX', [], 'no YAML', 'mend'), '', 'a.yaml', { line: 1, column: 1 });
  const nowhere = findingOf(warningAt('WEFT_WORKLOAD_DUPLICATE', [], 'twice', 'rename'), 'Workload a/b', '', {
    line: 0,
    column: 0,
  });
  assert.equal(
    formatFindings([late, early, syntax, nowhere]),
    [
      'warning: Workload a/b: twice [WEFT_WORKLOAD_DUPLICATE]\n  remedy: rename',
      'a.yaml:1:1: error: no YAML [WEFT_YAML_SYNTAX]\n  remedy: mend',
      'a.yaml:2:3: error: Pod a/b spec.x: bad [WEFT_FIELD_INVALID]\n  remedy: mend',
      'a.yaml:9:1: warning: Pod a/b spec: odd [WEFT_LIKELY_MISTAKE]\n  remedy: think',
      '2 errors, 2 warnings',
    ].join('\n'),
  );
});
