import assert from 'node:assert/strict';
import test from 'node:test';
import { Meters } from '#model/telemetry/meters.ts';
import { ApiTraffic } from './api-traffic.ts';

test('what is asked of an API server is counted by resource, of whichever group and namespace', () => {
  const traffic = new ApiTraffic();
  const paths = [
    '/api/v1/pods',
    '/api/v1/namespaces/shop/pods/web/status',
    '/apis/gateway.networking.k8s.io/v1/httproutes',
    '/apis/apps/v1/namespaces/shop/deployments/web',
    '/api/v1/namespaces/shop',
    '/apis',
  ];
  for (const path of paths) {
    const one = traffic.of(path);
    one.requests++;
    one.receivedBytes += 100;
  }
  const meters = new Meters('control');
  traffic.meter(meters);
  const family = meters.collect().find(({ name }) => name === 'weft_api_server_received_bytes_total');
  const series = family?.series.map((one) => `${one.labels.resource}=${'value' in one ? one.value : ''}`);
  assert.deepEqual(series?.sort(), ['deployments=100', 'discovery=100', 'httproutes=100', 'namespaces=100', 'pods=200']);
});
