import assert from 'node:assert/strict';
import test from 'node:test';
import {
  byPlace,
  errorAt,
  type FieldPath,
  fileOrigin,
  findingOf,
  formatFieldPath,
  formatFinding,
  formatFindings,
  formatOrigin,
  objectOrigin,
  warningAt,
} from './finding.ts';
import { nameOf, type ResourceIdentity } from './resource.ts';

const paths: { path: FieldPath; text: string }[] = [
  { path: [], text: '' },
  { path: ['spec', 'rules', 0, 'from', 12, 'source'], text: 'spec.rules[0].from[12].source' },
  { path: ['metadata', 'labels', 'istio.io/use-waypoint'], text: 'metadata.labels["istio.io/use-waypoint"]' },
  { path: ['spec', 'portLevelMtls', '8080'], text: 'spec.portLevelMtls["8080"]' },
];
for (const { path, text } of paths) {
  test(`a path is written ${text || 'as nothing for the whole document'}`, () => assert.equal(formatFieldPath(path), text));
}

const place = (line: number, column: number) => fileOrigin('a.yaml', { line, column });
const object = (kind: ResourceIdentity['kind'], namespace: string, name: string, path: FieldPath = []) =>
  objectOrigin(nameOf({ kind, namespace, name }), path);

test('findings are printed in order of place, with code and remedy, and counted', () => {
  const late = findingOf(warningAt('WEFT_LIKELY_MISTAKE', ['spec'], 'odd', 'think'), 'Pod a/b', place(9, 1));
  const early = findingOf(errorAt('WEFT_FIELD_INVALID', ['spec', 'x'], 'bad', 'mend'), 'Pod a/b', place(2, 3));
  const syntax = findingOf(errorAt('WEFT_YAML_SYNTAX', [], 'no YAML', 'mend'), '', place(1, 1));
  const nowhere = findingOf(
    warningAt('WEFT_WORKLOAD_DUPLICATE', [], 'twice', 'rename'),
    'Workload a/b',
    object('Workload', 'a', 'b'),
  );
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

test('a finding of an object is written by its name and field, and stands in order of kind, namespace, name and field', () => {
  const problem = warningAt('WEFT_LIKELY_MISTAKE', ['spec', 'a'], 'odd', 'think');
  const origins = [
    place(1, 1),
    object('Service', 'b', 'x'),
    object('Service', 'a', 'z'),
    object('Service', 'a', 'y', ['spec', 'ports', 1]),
    object('Service', 'a', 'y', ['spec', 'ports', 0]),
    object('Namespace', '', 'a'),
  ];
  const sorted = origins.map((origin) => findingOf(problem, 'x', origin)).sort(byPlace);
  assert.deepEqual(
    sorted.map(({ origin }) => formatOrigin(origin)),
    ['Namespace a', 'Service a/y spec.ports[0]', 'Service a/y spec.ports[1]', 'Service a/z', 'Service b/x', 'a.yaml:1:1'],
  );
  assert.equal(
    formatFinding(findingOf(problem, 'Service a/y', object('Service', 'a', 'y', ['spec', 'a']))),
    'warning: Service a/y spec.a: odd [WEFT_LIKELY_MISTAKE]\n  remedy: think',
  );
});
