import assert from 'node:assert/strict';
import test from 'node:test';
import { ControlTargets } from './control-targets.ts';

test('C74: nodes begin with any of the control planes, and go round', () => {
  const starts = [0, 0.4, 0.99].map((chance) => new ControlTargets('a:1,b:2,c:3', () => chance).current);
  assert.deepEqual(starts, ['a:1', 'b:2', 'c:3']);
  const targets = new ControlTargets('a:1,b:2', () => 0);
  targets.leave('a:1');
  assert.equal(targets.current, 'b:2');
  targets.leave('a:1');
  assert.equal(targets.current, 'b:2', 'of two calls that failed at the same one the second changes nothing');
  targets.leave('b:2');
  assert.equal(targets.current, 'a:1');
});

test('one control plane is asked again and again', () => {
  const targets = new ControlTargets('unix:/run/a.sock');
  targets.leave('unix:/run/a.sock');
  assert.deepEqual([targets.current, targets.count], ['unix:/run/a.sock', 1]);
});
