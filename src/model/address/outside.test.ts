import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { whyNotAsked } from '#model/address/outside.ts';

const CASES: Readonly<Record<string, string | null>> = {
  '127.0.0.1': 'loopback',
  '127.8.9.10': 'loopback',
  '::1': 'loopback',
  '0.0.0.0': 'unspecified',
  '::': 'unspecified',
  '169.254.169.254': 'link-local',
  'fe80::1': 'link-local',
  '::ffff:169.254.169.254': 'link-local',
  '::ffff:127.0.0.1': 'loopback',
  '64:ff9b::a9fe:a9fe': 'link-local',
  '64:ff9b::127.0.0.1': 'loopback',
  '2002:7f00:1::': 'loopback',
  '2002:a9fe:a9fe::1': 'link-local',
  'fd00:ec2::254': 'a metadata service',
  '100.100.100.200': 'a metadata service',
  '192.0.0.192': 'a metadata service',
  '224.0.0.1': 'multicast',
  'ff02::1': 'multicast',
  '255.255.255.255': 'broadcast',
  '10.0.0.1': null,
  '192.168.1.1': null,
  '8.8.8.8': null,
  '240.240.0.1': null,
  'fd00::1': null,
  '64:ff9b::808:808': null,
  '2002:808:808::1': null,
  '2001:db8::1': null,
};
for (const [text, want] of Object.entries(CASES))
  test(`W64 keys are fetched from ${text}: ${want ?? 'yes'}`, () => assert.equal(whyNotAsked(parseIp(text)), want));
