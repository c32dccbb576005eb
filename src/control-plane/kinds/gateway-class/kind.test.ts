import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const OURS = 'controllerName: weft.dev/mesh-controller';

const cases: { name: string; called?: string; spec: string; want: string[] }[] = [
  { name: 'ours', spec: OURS, want: ['Accepted True Accepted'] },
  { name: 'by Istio’s name', called: 'istio-waypoint', spec: OURS, want: ['Accepted True Accepted'] },
  { name: 'of a name that no waypoint has', called: 'mine', spec: OURS, want: ['Accepted False Unsupported'] },
  {
    name: 'with parameters, which nobody reads',
    spec: `${OURS}, parametersRef: { group: "", kind: ConfigMap, name: a, namespace: b }`,
    want: ['Accepted False InvalidParameters'],
  },
  { name: 'of another controller: nothing is said of it', spec: 'controllerName: example.com/other', want: [] },
];
for (const { name, called = 'weft-waypoint', spec, want } of cases) {
  test(`a class ${name}`, () => {
    const head = 'apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass';
    const mesh = new YamlMesh(parser, `${head}\nmetadata: { name: ${called} }\nspec: { ${spec} }\n`);
    assert.deepEqual(mesh.conditions(`GatewayClass ${called}`), want);
  });
}
