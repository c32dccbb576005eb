import { type FactsTest, type Field, httpPairOf, pairOf, RuleFault } from '#model/policy/l7/field.ts';
import { compilePathForm } from '#model/policy/l7/path-form.ts';
import { compileForm, compileFormIgnoringCase } from '#model/policy/l7/string-form.ts';
import type { L7Operation } from '#model/waypoint/config.ts';

/** The restrictions of one `to` entry. Errors: RuleFault. */
export function operationFields(operation: L7Operation): Field[] {
  return [
    ...httpPairOf(operation.hosts, operation.notHosts, (value) => {
      const test = compileFormIgnoringCase(value);
      return (http) => test(http.authority);
    }),
    ...pairOf(operation.ports, operation.notPorts, portTest),
    ...httpPairOf(operation.methods, operation.notMethods, (value) => {
      const test = compileForm(value);
      return (http) => test(http.method);
    }),
    ...httpPairOf(operation.paths, operation.notPaths, (value) => {
      const test = compilePathForm(value);
      if (test === null) throw new RuleFault(`"${value}" is not a valid path template`);
      return (http) => test(http.path);
    }),
  ];
}

/** Compares the destination port. Errors: RuleFault when `value` is not a port. */
export function portTest(value: string): FactsTest {
  const port = Number(value);
  if (!/^\d{1,5}$/.test(value) || port > 65_535) throw new RuleFault(`"${value}" is not a port`);
  return (facts) => facts.destinationPort === port;
}
