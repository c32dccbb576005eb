import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCommonYaml } from '#control-plane/sources/directory/common-yaml.ts';
import { readResourceFile } from '#control-plane/sources/directory/resource-file.ts';
import { cutDocuments, readAnyYaml, readRawDocument } from '#control-plane/sources/directory/yaml-documents.ts';
import { readCrds } from '#platform/files/crds.ts';
import { type FuzzTarget, require, requireSame } from '../target.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

/** Files of resources: never an exception, every finding with its place, every resource with a name; two libraries that say the same. */
export const yamlTarget: FuzzTarget = {
  name: 'yaml',
  slow: true,
  tokens: [
    ...[
      '\n---\n',
      '\n',
      '  ',
      '- ',
      ': ',
      '{}',
      '[]',
      'null',
      '~',
      '*a',
      '&a ',
      '!!binary ',
      '<<: *a',
      '| ',
      '>-\n',
      '#',
      '"',
      "'",
    ],
    ...['kind: Service', 'kind: Pod', 'kind: HTTPRoute', 'kind: Gateway', 'kind: AuthorizationPolicy', 'metadata:', 'spec:'],
    ...['namespace: shop', 'name: a', 'ports:', 'port: 80', 'port: 70000', 'rules:', 'selector:', 'matchLabels:', 'action: DENY'],
    ...[
      'from:',
      'principals: ["*"]',
      'value: "(a+)+$"',
      'type: RegularExpression',
      '1e400',
      '-0',
      '0x7fffffffffffffff',
      '__proto__: 1',
    ],
    // What the two libraries take for different things, more often than not.
    ...[
      '? ',
      '[a]: b\n',
      '"a" b',
      "''''",
      '}a',
      '] b: c',
      ' :',
      '8080: ',
      '---#',
      ' ---\n',
      '%',
      '...',
      '0o17',
      '.5',
      '1.',
      '012',
      '1_000',
      '\\x41',
    ],
  ],
  check(bytes) {
    const text = bytes.toString('utf8');
    for (const raw of cutDocuments(text)) {
      if (readCommonYaml(raw.text) === null) continue;
      const [quick, full] = [readRawDocument(raw), readAnyYaml(raw)].map((documents) =>
        documents.map(({ line, content, locate }) => ({ line, content, place: locate([]) })),
      );
      requireSame(quick, full, 'a common document is read alike by both libraries');
    }
    const lines = text.split(/\r\n?|\n/).length;
    const { entries, findings } = readResourceFile('a.yaml', text, parser);
    for (const finding of [...findings, ...entries.flatMap((entry) => entry.findings)]) {
      const { origin } = finding;
      if (origin.kind !== 'file') continue;
      require(origin.line >= 1 && origin.line <= lines, 'a finding lies in its file');
      require(origin.column >= 1, 'a finding has a column');
    }
    for (const { name, resource } of entries) require(resource === null || name !== null, 'a resource has a name');
  },
};
