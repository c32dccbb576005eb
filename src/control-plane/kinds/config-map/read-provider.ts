import type { AuthorizerSpec } from '#control-plane/mesh/authorizers.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { AuthorizerHttp, ShownBody } from '#model/waypoint/authorizer.ts';
import { FieldsReader, type TextProblem } from './fields-reader.ts';

/** One entry of extensionProviders; `authorizer` null: it is none, or cannot be used. */
export type ReadProvider = {
  readonly name: string;
  readonly authorizer: AuthorizerSpec | null;
  readonly problems: readonly TextProblem[];
};

/** Istio's names of the two kinds that decide about requests. */
const HTTP = 'envoyExtAuthzHttp';
const GRPC = 'envoyExtAuthzGrpc';
const FORBIDDEN = 403;
/** Of RFC 9110, in lower case. */
const HEADER_NAME = /^[a-z0-9!#$%&'+.^_`|~-]+$/;
/** Exact, by its end, by its beginning, or any. */
const HEADER_FORM = /^(\*?[a-z0-9!#$%&'+.^_`|~-]+|[a-z0-9!#$%&'+.^_`|~-]+\*|\*)$/;

/** Reads one provider in the words of Istio's MeshConfig (config-api 5.4). `at`: where it is, for the reader. */
export function readProvider(value: unknown, at: string): ReadProvider {
  const fields = new FieldsReader(value, at);
  const name = fields.text('name');
  if (name === '') fields.wrong('name', 'it is required', 'add a name');
  const http = fields.object(HTTP, (inner) => readAuthorizer(name, inner, readHttp));
  const grpc = fields.object(GRPC, (inner) => readAuthorizer(name, inner, () => null));
  if (http !== null && grpc !== null) fields.wrong(HTTP, `it excludes ${GRPC}`, 'make two providers');
  const { problems } = fields;
  // Collectors of traces and the like are providers as well: told, as they say something to Istio.
  const others = Object.keys(value ?? {}).filter((field) => !['name', HTTP, GRPC].includes(field));
  if (others.length > 0) {
    const message = `${at}.${others.join(', ')}: no waypoint uses it`;
    problems.push({ message, remedy: `providers that are used are ${HTTP} and ${GRPC}`, isError: false });
  }
  const authorizer = problems.some(({ isError }) => isError) ? null : (http ?? grpc);
  return { name, authorizer, problems };
}

/** What both ways of asking have in common; `readMore`: what one alone has. */
function readAuthorizer(
  name: string,
  fields: FieldsReader,
  readMore: (fields: FieldsReader) => AuthorizerHttp | null,
): AuthorizerSpec {
  const service = fields.text('service');
  const [first = '', second] = service.split('/');
  if (service === '')
    fields.wrong('service', 'it is required', 'write the full name of a Service or of a host of a ServiceEntry');
  const port = fields.number('port', 1, 65_535);
  if (port === null && !fields.problems.some(({ message }) => message.includes('.port:')))
    fields.wrong('port', 'it is required', 'write a port of the service');
  const timeoutMs = Math.min(WAYPOINT.checkMs, fields.durationMs('timeout') ?? WAYPOINT.checkMs);
  const failOpen = fields.flag('failOpen');
  const statusOnError = fields.number('statusOnError', 400, 599) ?? FORBIDDEN;
  const body = fields.object('includeRequestBodyInCheck', readBody);
  // Routes look at what the authorizer has made of a request in any case.
  fields.flag('clearRouteCache');
  return {
    ...{ name, timeoutMs, failOpen, statusOnError, body },
    host: (second ?? first).toLowerCase(),
    namespace: second === undefined ? null : first,
    port: port ?? 0,
    http: readMore(fields),
  };
}

/** Without a bound Envoy would refuse it, too: nobody means all of a body of any length. */
function readBody(fields: FieldsReader): ShownBody {
  const bytesMax = fields.number('maxRequestBytes', 1, WAYPOINT.shownBodyBytesMax);
  if (bytesMax === null && fields.problems.length === 0)
    fields.wrong('maxRequestBytes', 'it is required', 'say how much of a body is shown');
  return {
    bytesMax: bytesMax ?? 0,
    allowPartial: fields.flag('allowPartialMessage'),
    asBytes: fields.flag('packAsBytes'),
  };
}

/** Lists that are not written name no header, but for that of denials, where Istio means all. */
function readHttp(fields: FieldsReader): AuthorizerHttp {
  const pathPrefix = fields.text('pathPrefix');
  if (pathPrefix !== '' && !/^\/[^\s?#]*$/.test(pathPrefix)) fields.wrong('pathPrefix', 'it is no path', 'begin it with /');
  const older = headerForms(fields, 'includeHeadersInCheck');
  const sent = headerForms(fields, 'includeRequestHeadersInCheck');
  const addedHeaders = fields.textsByName('includeAdditionalHeadersInCheck').map(([name, value]) => {
    if (!HEADER_NAME.test(name.toLowerCase()) || /[^\t\x20-\x7e\x80-\xff]/.test(value))
      fields.wrong('includeAdditionalHeadersInCheck', `"${name}" cannot be a header with this value`, 'correct it');
    return { name: name.toLowerCase(), value };
  });
  return {
    pathPrefix,
    // Istio: the deprecated one counts where the other is not written.
    sentHeaders: sent.length > 0 ? sent : older,
    addedHeaders,
    toUpstream: headerForms(fields, 'headersToUpstreamOnAllow'),
    toClientOnDeny: headerForms(fields, 'headersToDownstreamOnDeny'),
    toClientOnAllow: headerForms(fields, 'headersToDownstreamOnAllow'),
  };
}

/** In lower case, as header names are everywhere here. */
function headerForms(fields: FieldsReader, name: string): string[] {
  const forms = fields.texts(name).map((form) => form.toLowerCase());
  for (const form of forms)
    if (!HEADER_FORM.test(form)) fields.wrong(name, `"${form}" names no header`, 'write a name, prefix* or *suffix');
  return forms;
}
