import assert from 'node:assert/strict';
import test from 'node:test';
import { type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import type { PeerAuthenticationResource } from './schema.ts';

/** The numbers are the rows of "Example mistakes" in the configuration reference. */
const mistakes: Mistake[] = [
  {
    name: '25: ports without selector',
    spec: '{ portLevelMtls: { 8080: { mode: STRICT } } }',
    at: 'spec.portLevelMtls',
    says: /need a selector/,
    remedy: /add spec.selector/,
  },
  {
    name: 'a port that is no number',
    spec: '{ selector: { matchLabels: { a: b } }, portLevelMtls: { http: { mode: STRICT } } }',
    at: 'spec.portLevelMtls.http',
    says: /"http" is not a port/,
    remedy: /1 to 65535/,
  },
  {
    name: 'a port beyond all ports',
    spec: '{ selector: { matchLabels: { a: b } }, portLevelMtls: { 70000: { mode: STRICT } } }',
    at: 'spec.portLevelMtls["70000"]',
    says: /"70000" is not a port/,
    remedy: /1 to 65535/,
  },
  {
    name: 'ports with an empty selector',
    spec: '{ selector: {}, portLevelMtls: { 80: { mode: STRICT } } }',
    at: 'spec.portLevelMtls',
    says: /need a selector/,
    remedy: /matchLabels/,
  },
  {
    name: 'a mode that is none',
    spec: '{ mtls: { mode: STRIC } }',
    at: 'spec.mtls.mode',
    says: /"STRIC" is not one of/,
    remedy: /did you mean STRICT/,
  },
  {
    name: 'a selector with a wildcard',
    spec: '{ selector: { matchLabels: { app: "*" } } }',
    at: 'spec.selector.matchLabels.app',
    says: /would match nothing|compares whole labels/,
    remedy: /exact label/,
  },
  {
    name: 'a field misspelt',
    spec: '{ mtl: { mode: STRICT } }',
    at: 'spec.mtl',
    says: /did you mean "mtls"/,
    remedy: /^write mtls$/,
  },
];
testMistakes('PeerAuthentication', mistakes);

testAccepted('PeerAuthentication', {
  'nothing: inherits': '{}',
  'a mode for the namespace': '{ mtls: { mode: STRICT } }',
  'a mode for some workloads': '{ selector: { matchLabels: { a: b } }, mtls: { mode: PERMISSIVE } }',
  'ports of their own': '{ selector: { matchLabels: { a: b } }, portLevelMtls: { 80: { mode: DISABLE }, 65535: {} } }',
});

const readings: { name: string; spec: string; want: Partial<PeerAuthenticationResource> }[] = [
  { name: 'an empty policy', spec: '{}', want: { selector: null, mode: 'UNSET', ports: [] } },
  { name: 'an empty selector as none', spec: '{ selector: {} }', want: { selector: null } },
  { name: 'a selector', spec: '{ selector: { matchLabels: { a: b } } }', want: { selector: { a: 'b' } } },
  { name: 'mtls without a mode', spec: '{ mtls: {} }', want: { mode: 'UNSET' } },
  ...(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const).map((mode) => ({
    name: `mode ${mode}`,
    spec: `{ mtls: { mode: ${mode} } }`,
    want: { mode },
  })),
  {
    name: 'ports in order of number',
    spec: '{ selector: { matchLabels: { a: b } }, portLevelMtls: { 9000: { mode: STRICT }, 80: {}, 443: { mode: DISABLE } } }',
    want: {
      ports: [
        { port: 80, mode: 'UNSET' },
        { port: 443, mode: 'DISABLE' },
        { port: 9000, mode: 'STRICT' },
      ],
    },
  },
];
for (const { name, spec, want } of readings) {
  test(`reads ${name}`, () => {
    const policy = readSpec<PeerAuthenticationResource>('PeerAuthentication', spec);
    assert.deepEqual({ ...policy, ...want }, policy);
  });
}
