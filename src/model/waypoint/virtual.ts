import type { ServiceKey } from '#model/mesh/service.ts';

/** How a text is compared; `prefix` by characters, `regex` in RE2 with the whole text, `present` with any text. */
export type StringMatch = { readonly type: 'exact' | 'prefix' | 'regex' | 'present'; readonly value: string };

/** A text by name: of a header (in lower case) or query parameter, or of a `claim` of a token that was proved, each name within the one before. */
export type NamedMatch = StringMatch & { readonly name: string; readonly claim?: readonly string[] };

/** Which requests a rule of a VirtualService means; null and empty parts restrict nothing, parts are ANDed (config-api 4.4). */
export type VirtualMatch = {
  /** The path without query. */
  readonly uri: StringMatch | null;
  readonly ignoreUriCase: boolean;
  readonly scheme: StringMatch | null;
  readonly method: StringMatch | null;
  readonly authority: StringMatch | null;
  readonly headers: readonly NamedMatch[];
  /** None of these may hold. */
  readonly withoutHeaders: readonly NamedMatch[];
  readonly queryParams: readonly NamedMatch[];
  /** The port of the service that was dialled. */
  readonly port: number | null;
  /** Of the client's verified identity. */
  readonly sourceNamespace: string | null;
};

/** An answer in place of the backends. */
export type HttpDirectResponse = { readonly status: number; readonly body: string };

/** The endpoints of a service that a DestinationRule gives a name to, by the uids of their workloads. */
export type ServiceSubset = { readonly service: ServiceKey; readonly name: string; readonly endpoints: readonly string[] };
