import { firstQueryParam, type RoutedRequest } from '#model/routing/candidate.ts';
import { compileStringMatch, type TextTest } from '#model/routing/string-match.ts';
import type { NamedMatch, StringMatch, VirtualMatch } from '#model/waypoint/virtual.ts';

type Problem = (why: string) => void;
type RouteTest = (request: RoutedRequest) => boolean;

/** All must hold; null when a pattern cannot be used, which is reported. */
export function compileVirtualMatch(match: VirtualMatch, problem: Problem): RouteTest[] | null {
  const { uri, ignoreUriCase, scheme, method, authority, port, sourceNamespace } = match;
  const tests: (RouteTest | null)[] = [
    ...textTest(uri, (request) => request.path, problem, ignoreUriCase),
    ...textTest(scheme, (request) => request.scheme, problem),
    ...textTest(method, (request) => request.method, problem),
    ...textTest(authority, (request) => request.clientAuthority, problem),
    ...match.headers.map((header) => headerTest(header, problem)),
    ...match.withoutHeaders.map((header) => negated(headerTest(header, problem))),
    ...match.queryParams.map((param) => paramTest(param, problem)),
  ];
  if (port !== null) tests.push((request) => request.port === port);
  if (sourceNamespace !== null) tests.push((request) => request.clientNamespace === sourceNamespace);
  const usable = tests.filter((test) => test !== null);
  return usable.length === tests.length ? usable : null;
}

function textTest(
  match: StringMatch | null,
  of: (request: RoutedRequest) => string,
  problem: Problem,
  ignoreCase = false,
): (RouteTest | null)[] {
  if (match === null) return [];
  const test = compileStringMatch(match, problem, ignoreCase);
  return [test && ((request) => test(of(request)))];
}

/** Of several fields of one name each is looked at, as in routes of the Gateway API. */
function headerTest({ name, claim, ...match }: NamedMatch, problem: Problem): RouteTest | null {
  const test = compileStringMatch(match, problem);
  const valuesIn = (request: RoutedRequest): readonly string[] =>
    claim === undefined ? request.headerValues(name) : request.claimValues(claim);
  return test && ((request) => valuesIn(request).some(test));
}

function paramTest({ name, ...match }: NamedMatch, problem: Problem): RouteTest | null {
  const test = compileStringMatch(match, problem);
  return test && ((request) => holds(firstQueryParam(request.query, name), test));
}

function holds(value: string | null, test: TextTest): boolean {
  return value !== null && test(value);
}

/** What is not there at all does not hold either. */
function negated(test: RouteTest | null): RouteTest | null {
  return test && ((request) => !test(request));
}
