import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Membership, type MembershipFacts, podMembership } from './membership.ts';

const mode = (value: string) => ({ 'istio.io/dataplane-mode': value });
const POD: MembershipFacts = { namespace: 'shop', labels: {}, namespaceLabels: {}, hostNetwork: false, hasSidecar: false };
const IN: Membership = { isIn: true };
const NOT_MEANT: Membership = { isIn: false, problem: null };

const decided: { name: string; facts: Partial<MembershipFacts>; is: Membership }[] = [
  { name: 'no label', facts: {}, is: NOT_MEANT },
  { name: 'its namespace is ambient', facts: { namespaceLabels: mode('ambient') }, is: IN },
  {
    name: 'its namespace is weft, which an Istio beside us does not look at (K30)',
    facts: { namespaceLabels: mode('weft') },
    is: IN,
  },
  { name: 'its own label alone', facts: { labels: mode('ambient') }, is: IN },
  { name: 'its own none before its namespace', facts: { labels: mode('none'), namespaceLabels: mode('ambient') }, is: NOT_MEANT },
  {
    name: 'its own ambient before none of its namespace',
    facts: { labels: mode('weft'), namespaceLabels: mode('none') },
    is: IN,
  },
  { name: 'a namespace without a mesh says so', facts: { namespaceLabels: mode('none') }, is: NOT_MEANT },
  { name: 'an empty label is none', facts: { labels: mode(''), namespaceLabels: mode('ambient') }, is: NOT_MEANT },
  { name: 'the namespace of the mesh', facts: { namespace: 'istio-system', namespaceLabels: mode('ambient') }, is: NOT_MEANT },
  { name: 'the namespace of the cluster', facts: { namespace: 'kube-system', namespaceLabels: mode('ambient') }, is: NOT_MEANT },
  { name: 'host network in no mesh', facts: { hostNetwork: true }, is: NOT_MEANT },
];
for (const { name, facts, is } of decided) {
  test(`membership: ${name}`, () => assert.deepEqual(podMembership({ ...POD, ...facts }), is));
}

const impossible: { name: string; facts: Partial<MembershipFacts>; says: RegExp }[] = [
  { name: 'host network (K28)', facts: { namespaceLabels: mode('ambient'), hostNetwork: true }, says: /network of its node/ },
  { name: 'a sidecar', facts: { labels: mode('ambient'), hasSidecar: true }, says: /sidecar of another mesh/ },
  {
    name: 'a label that nobody knows',
    facts: { labels: mode('ambiant') },
    says: /its label .* is "ambiant": write one of weft, ambient, none/,
  },
  { name: 'such a label of its namespace', facts: { namespaceLabels: mode('x') }, says: /label of its namespace .* is "x"/ },
  {
    name: 'its own label in the namespace of the cluster',
    facts: { namespace: 'kube-system', labels: mode('weft') },
    says: /never/,
  },
];
for (const { name, facts, says } of impossible) {
  test(`membership: meant and impossible is told: ${name}`, () => {
    const membership = podMembership({ ...POD, ...facts });
    assert.ok(!membership.isIn);
    assert.match(membership.problem ?? '', says);
  });
}
