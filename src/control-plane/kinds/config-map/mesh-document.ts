import { parseDocument } from 'yaml';
import type { AuthorizerSpec } from '#control-plane/mesh/authorizers.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { isRecord } from '#control-plane/resources/stand-in.ts';
import { readProvider } from './read-provider.ts';

/** What is read of a MeshConfig, which is text in a ConfigMap. */
export type MeshDocument = { readonly authorizers: readonly AuthorizerSpec[]; readonly problems: readonly Problem[] };

const PATH: FieldPath = ['data', 'mesh'];
/** What Weft reads. */
const READ = ['extensionProviders'];
/** Which options say what else a MeshConfig can. */
const OPTIONS =
  'trustDomain, pathNormalization and accessLogFormat are the options --trust-domain, --path-normalization and --access-log-format of weft control';

/** Reads the value of the key `mesh`; what is in it is told at the key. */
export function readMeshDocument(text: string): MeshDocument {
  const document = parseDocument(text);
  // The first one is enough: others often follow from it.
  const [mistake] = document.errors;
  if (mistake !== undefined) return refused(`it is no YAML: ${mistake.message.split('\n', 1)[0] ?? ''}`, 'correct it');
  // Aliases that multiply would take memory out of proportion to the text.
  const mesh: unknown = document.toJS({ maxAliasCount: 100 }) ?? {};
  if (!isRecord(mesh)) return refused('it is no mesh configuration', 'write fields, such as extensionProviders');
  const providers = mesh.extensionProviders ?? [];
  if (!Array.isArray(providers)) return refused('extensionProviders is no list', 'write a list of providers');
  const read = providers.map((provider: unknown, at) => readProvider(provider, `extensionProviders[${at}]`));
  const names = read.map(({ name }) => name);
  // A policy names one of them, and nobody could say which.
  const twice = names.find((name, at) => name !== '' && names.indexOf(name) !== at);
  const ignored = Object.keys(mesh).filter((field) => !READ.includes(field));
  return {
    authorizers: read.flatMap(({ authorizer }) => authorizer ?? []),
    problems: [
      ...read.flatMap(({ problems }) =>
        problems.map(({ message, remedy, isError }) => (isError ? error : warning)(message, remedy)),
      ),
      ...(twice === undefined ? [] : [error(`two providers are called "${twice}"`, 'give each a name of its own')]),
      ...(ignored.length === 0 ? [] : [warning(`${ignored.join(', ')}: these have no effect here`, OPTIONS)]),
    ],
  };
}

/** Nothing of it is used. */
function refused(message: string, remedy: string): MeshDocument {
  return { authorizers: [], problems: [error(message, remedy)] };
}

function error(message: string, remedy: string): Problem {
  return errorAt('WEFT_FIELD_INVALID', PATH, message, remedy);
}

function warning(message: string, remedy: string): Problem {
  return warningAt('WEFT_FIELD_IGNORED', PATH, message, remedy);
}
