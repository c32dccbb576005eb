import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import type { ServiceResource } from '#control-plane/mesh/services.ts';
import { formatFinding } from '#control-plane/resources/finding.ts';
import type { Resource } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readResourceFile } from '#control-plane/sources/directory/resource-file.ts';
import { allowAnyIdentity, denyServiceAccount, strictMutualTls } from '#testbed/checks/policies.ts';
import { FAMILIES } from '#testbed/lab/app.ts';
import { REPO_ROOT } from '#testbed/processes/command-lines.ts';
import { SHOP_NAMESPACE, SHOP_WORKLOADS, vip } from './shop.ts';

const crds = await Promise.all(
  CRD_FILES.map(async (file) => [file, await readFile(join(REPO_ROOT, 'config/crds', file), 'utf8')] as const),
);
const parser = createResourceParser(KINDS, new Map(crds));

function isService(resource: Resource | null): resource is ServiceResource {
  return resource?.kind === 'Service';
}

async function resourcesOf(example: string) {
  const dir = join(REPO_ROOT, 'examples', example, 'mesh');
  const texts = await Promise.all(
    (await readdir(dir)).map(async (name) => [name, await readFile(join(dir, name), 'utf8')] as const),
  );
  const files = texts.map(([name, text]) => readResourceFile(name, text, parser));
  return {
    findings: files.flatMap(({ findings }) => findings.map(formatFinding)),
    resources: files.flatMap(({ entries }) => entries.map(({ resource }) => resource)),
  };
}

for (const example of ['bookshop', 'quickstart']) {
  test(`the configuration of ${example} has no errors and no warnings`, async () => {
    const { findings, resources } = await resourcesOf(example);
    assert.deepEqual(findings, []);
    assert.ok(resources.length > 0);
  });
}

test('what the checks add is valid', () => {
  for (const text of [denyServiceAccount('a', 'shopper'), allowAnyIdentity('b'), strictMutualTls('c')]) {
    const { findings, entries } = readResourceFile('check.yaml', text, parser);
    assert.deepEqual(findings, []);
    assert.equal(entries.length, 1);
  }
});

test('the checks dial the addresses that the shop gives its services', async () => {
  const { resources } = await resourcesOf('bookshop');
  for (const name of ['storefront', 'details', 'ratings', 'reviews', 'echo-near', 'echo-far'] as const) {
    const service = resources.filter(isService).find((one) => one.metadata.name === name);
    assert.ok(service !== undefined, name);
    assert.deepEqual(
      service.addresses,
      FAMILIES.map((family) => vip(name, family).host),
    );
    assert.equal(service.ports[0]?.port, vip(name, 4).port);
  }
});

test('every Service of the shop selects a workload that the demo runs', async () => {
  const { resources } = await resourcesOf('bookshop');
  for (const service of resources.filter(isService)) {
    assert.equal(service.metadata.namespace, SHOP_NAMESPACE);
    const selector = [...Object.entries(service.selector ?? {})];
    const selected = SHOP_WORKLOADS.filter(({ labels }) => selector.every(([key, value]) => labels[key] === value));
    assert.ok(selected.length > 0, service.metadata.name);
  }
});
