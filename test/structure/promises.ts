import { relative } from 'node:path';
import { type Node, SyntaxKind } from 'typescript/unstable/ast';
import {
  isArrowFunction,
  isAwaitExpression,
  isBinaryExpression,
  isBlock,
  isCallExpression,
  isCatchClause,
  isConditionalExpression,
  isExpressionStatement,
  isFunctionExpression,
  isParenthesizedExpression,
  isPropertyAccessExpression,
  isStringLiteral,
  isVoidExpression,
} from 'typescript/unstable/ast/is';
import { API, type Checker, SignatureKind, type Type } from 'typescript/unstable/sync';
import { isTest } from './source-files.ts';

/** What the types of a program say of its promises and of the errors that it keeps silent about. */
export type PromiseFindings = {
  /** `path:line: code` of promises whose rejection nobody hears. */
  readonly floating: readonly string[];
  /** The same of functions that give a promise where nobody takes one, such as an async listener. */
  readonly misused: readonly string[];
  /** The same of empty error handlers without a comment that says why. */
  readonly unexplained: readonly string[];
};

type Found = {
  readonly file: string;
  readonly text: string;
  readonly nodes: Record<'results' | 'functions' | 'silences', Node[]>;
};

/**
 * Reads shipped files below `root` with the types of `root`/tsconfig.json. The types are needed: whether a call gives a promise
 * is not written where it is called (the linter's own rule sees those of this package only, and takes `void` for an answer).
 */
export function readPromises(root: string, folders: readonly string[]): PromiseFindings {
  const api = new API({ cwd: root });
  try {
    const snapshot = api.updateSnapshot({ openProjects: [`${root}/tsconfig.json`] });
    const [project] = snapshot.getProjects();
    if (project === undefined) throw new Error(`no program in ${root}`);
    const findings = {
      floating: [] as string[],
      misused: [] as string[],
      unexplained: [] as string[],
    };
    for (const name of project.program.getSourceFileNames()) {
      const path = relative(root, name);
      if (!folders.some((folder) => path.startsWith(`${folder}/`)) || isTest(path)) continue;
      const source = project.program.getSourceFile(name);
      if (source === undefined) continue;
      const found: Found = { file: path, text: source.text, nodes: { results: [], functions: [], silences: [] } };
      collect(source, found);
      findings.floating.push(...floatingIn(found, project.checker));
      findings.misused.push(...misusedIn(found, project.checker));
      findings.unexplained.push(
        ...found.nodes.silences.filter((node) => !isExplained(found, node)).map((node) => place(found, node)),
      );
    }
    return findings;
  } finally {
    api.close();
  }
}

function collect(node: Node, found: Found): void {
  if (isExpressionStatement(node)) found.nodes.results.push(...unhandled(node.expression));
  if (isVoidExpression(node)) found.nodes.results.push(...unhandled(node.expression));
  // Whoever calls `finally` waits for what its function gives; the types do not say so.
  if (isCallExpression(node) && !(isPropertyAccessExpression(node.expression) && node.expression.name.text === 'finally')) {
    found.nodes.functions.push(
      ...node.arguments.filter((argument) => isArrowFunction(argument) || isFunctionExpression(argument)),
    );
    if (isSilence(node)) found.nodes.silences.push(node);
  }
  if (isCatchClause(node) && node.block.statements.length === 0) found.nodes.silences.push(node);
  node.forEachChild((child) => collect(child, found));
}

/** The parts of a statement whose value is dropped and, if it is a promise, was not given anybody who hears of a rejection. */
function unhandled(expression: Node): Node[] {
  if (isParenthesizedExpression(expression)) return unhandled(expression.expression);
  if (isAwaitExpression(expression) || isVoidExpression(expression)) return []; // `void` is looked at by itself
  if (isConditionalExpression(expression)) return [...unhandled(expression.whenTrue), ...unhandled(expression.whenFalse)];
  if (isBinaryExpression(expression)) {
    const { operatorToken, right } = expression;
    const chooses = [SyntaxKind.AmpersandAmpersandToken, SyntaxKind.BarBarToken, SyntaxKind.QuestionQuestionToken];
    return chooses.includes(operatorToken.kind) ? unhandled(right) : []; // what is assigned is kept
  }
  return isHandled(expression) ? [] : [expression];
}

/** Ends with `.catch(…)`, or with a `.then(…, …)` of two. */
function isHandled(expression: Node): boolean {
  if (!isCallExpression(expression) || !isPropertyAccessExpression(expression.expression)) return false;
  const name = expression.expression.name.text;
  return (name === 'catch' && expression.arguments.length === 1) || (name === 'then' && expression.arguments.length === 2);
}

/** `.catch(() => {})` and `.on('error', () => {})`. */
function isSilence(call: Node): boolean {
  if (!isCallExpression(call) || !isPropertyAccessExpression(call.expression)) return false;
  const name = call.expression.name.text;
  const [first] = call.arguments;
  const listens =
    /^(on|once|addListener|prependListener)$/.test(name) &&
    first !== undefined &&
    isStringLiteral(first) &&
    first.text === 'error';
  const handler = listens ? call.arguments[1] : name === 'catch' ? first : undefined;
  if (handler === undefined || !(isArrowFunction(handler) || isFunctionExpression(handler))) return false;
  return handler.body !== undefined && isBlock(handler.body) && handler.body.statements.length === 0;
}

/** A comment on one of its lines, or on the line before it. */
function isExplained({ text }: Found, node: Node): boolean {
  const lines = text.split('\n');
  const [from, to] = [lineOf(text, node.getStart()), lineOf(text, node.getEnd())];
  return lines.slice(Math.max(0, from - 1), to + 1).some((line) => line.includes('//') || line.trimEnd().endsWith('*/'));
}

function floatingIn(found: Found, checker: Checker): string[] {
  const { results } = found.nodes;
  const types = results.length === 0 ? [] : checker.getTypeAtLocation(results);
  return results.filter((_, at) => isPromise(types[at])).map((node) => place(found, node));
}

/** A listener, a timer's task: whoever calls it drops what it returns. Only its own body can be relied on to catch. */
function misusedIn(found: Found, checker: Checker): string[] {
  const { functions } = found.nodes;
  const types = functions.length === 0 ? [] : checker.getTypeAtLocation(functions);
  const gives = functions.filter((_, at) => returnsOf(checker, types[at]).some(isPromise));
  return gives
    .filter((node) => {
      if (!isArrowFunction(node) && !isFunctionExpression(node)) return false;
      const wanted = returnsOf(checker, checker.getContextualType(node));
      return wanted.length > 0 && wanted.every((type) => checker.typeToString(type) === 'void');
    })
    .map((node) => place(found, node));
}

function returnsOf(checker: Checker, type: Type | undefined): Type[] {
  if (type === undefined) return [];
  const parts = type.isUnionType() ? type.getTypes() : [type];
  return parts.flatMap((part) =>
    checker
      .getSignaturesOfType(part, SignatureKind.Call)
      .flatMap((signature) => checker.getReturnTypeOfSignature(signature) ?? []),
  );
}

function isPromise(type: Type | undefined): boolean {
  if (type === undefined) return false;
  if (type.isUnionType()) return type.getTypes().some(isPromise);
  return /^Promise(Like)?$/.test(type.getSymbol()?.name ?? '');
}

function place({ file, text }: Found, node: Node): string {
  const line = lineOf(text, node.getStart());
  return `${file}:${line + 1}: ${text.split('\n')[line]?.trim() ?? ''}`;
}

function lineOf(text: string, at: number): number {
  return text.slice(0, at).split('\n').length - 1;
}
