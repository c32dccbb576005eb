import { errorAt, type Finding, fileOrigin, findingOf, type Problem, warningAt } from '#control-plane/resources/finding.ts';

/** What is told of a file whose name says that it is not to be read. */
export function ignoredFinding(path: string): Finding {
  const message = 'it is not read: only names that end in .yaml, .yml or .json are';
  const remedy = 'rename it if it holds resources, or keep it elsewhere (a name that begins with a dot is passed over)';
  return findingOf(warningAt('WEFT_FILE_IGNORED', [], message, remedy), '', fileOrigin(path, { line: 1, column: 1 }));
}

/** What is told of a file that cannot be read. */
export function unreadProblem(why: string): Problem {
  const message = `it cannot be read: ${why}; what it is known to have said stays in force`;
  return errorAt('WEFT_FILE_UNREADABLE', [], message, 'make it readable, or delete it if its resources are to go');
}
