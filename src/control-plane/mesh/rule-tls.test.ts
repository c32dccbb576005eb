import assert from 'node:assert/strict';
import test from 'node:test';
import { tlsTo } from './rule-tls.ts';

const asked = { kind: 'asked', serverName: null, names: [] } as const;

test('config-api 4.2: a server is who the rule says, else who its entry says, else the host', () => {
  const named = { ...asked, names: [{ kind: 'dns', value: 'rule.com' }] } as const;
  const namesOf = (...args: Parameters<typeof tlsTo>): string | undefined => {
    const tls = tlsTo(...args);
    return tls?.kind === 'originate' ? `${tls.serverName} ${tls.names.map(({ kind, value }) => `${kind}:${value}`)}` : tls?.kind;
  };
  assert.equal(namesOf('host.com', ['entry.com'], named), 'host.com dns:rule.com');
  assert.equal(namesOf('host.com', ['entry.com', 'spiffe://td/x'], asked), 'host.com dns:entry.com,uri:spiffe://td/x');
  assert.equal(namesOf('host.com', [], asked), 'host.com dns:host.com');
  assert.equal(namesOf('host.com', [], { ...asked, serverName: 'sni.com' }), 'sni.com dns:sni.com');
  assert.equal(namesOf('10.0.0.1', [], asked), 'null ip:10.0.0.1');
  assert.equal(namesOf('*.host.com', [], asked), 'refused');
  assert.equal(namesOf('*.host.com', [], named), 'null dns:rule.com');
  assert.equal(namesOf('host.com', [], { kind: 'none' }), undefined);
  assert.equal(namesOf('host.com', [], undefined), undefined);
  assert.equal(namesOf('host.com', [], { kind: 'refused', why: 'x' }), 'refused');
});
