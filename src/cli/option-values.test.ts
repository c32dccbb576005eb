import assert from 'node:assert/strict';
import test from 'node:test';
import { readCollector } from './option-values.ts';

const COLLECTORS: { url: string; taken: boolean }[] = [
  { url: 'http://10.0.0.9:4318', taken: true },
  { url: 'https://collector.example/otlp', taken: true },
  { url: 'grpc://10.0.0.9:4317', taken: true },
  { url: 'grpcs://[fd00::9]:4317/', taken: true },
  { url: 'grpc://collector', taken: false },
  { url: 'grpc://collector:4317/v1/traces', taken: false },
  { url: 'collector:4317', taken: false },
  { url: 'ftp://collector:21', taken: false },
];
for (const { url, taken } of COLLECTORS) {
  test(`a collector at ${url} is ${taken ? 'taken' : 'refused, with one that would be'}`, () => {
    if (taken) assert.equal(readCollector(url), url);
    else assert.throws(() => readCollector(url), /grpc:\/\/10\.0\.0\.9:4317/);
  });
}
