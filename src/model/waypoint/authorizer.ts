import type { ServiceKey } from '#model/mesh/service.ts';

/** How much of a request's body an external authorizer is shown. */
export type ShownBody = {
  readonly bytesMax: number;
  /** A longer one is shown as far as that; else it is refused. */
  readonly allowPartial: boolean;
  /** As bytes, which need not be UTF-8; gRPC only. */
  readonly asBytes: boolean;
};

/** Whom policies with action CUSTOM ask, by HTTP or by gRPC (envoy.service.auth.v3): a provider of Istio's mesh configuration. */
export type ExternalAuthorizer = {
  /** As policies name it. */
  readonly name: string;
  readonly service: ServiceKey;
  readonly port: number;
  /** Milliseconds that one question may take; null: any time. */
  readonly timeoutMs: number | null;
  /** Who cannot be asked is let through. */
  readonly failOpen: boolean;
  /** What a request is answered whose authorizer cannot be asked. */
  readonly statusOnError: number;
  /** Null: it is not shown. */
  readonly body: ShownBody | null;
  /** Null: it is asked by gRPC. */
  readonly http: AuthorizerHttp | null;
};

/** How one is asked by HTTP. Lists are of header names in lower case: exact, `abc*`, `*abc` or `*`. */
export type AuthorizerHttp = {
  /** Goes before the path of the request. */
  readonly pathPrefix: string;
  /** Which headers of the request it is shown, beside those it always is. */
  readonly sentHeaders: readonly string[];
  /** What it is told in any case, whatever the request says. */
  readonly addedHeaders: readonly { readonly name: string; readonly value: string }[];
  /** Which headers of an answer that allows go to the upstream, in place of the request's. */
  readonly toUpstream: readonly string[];
  /** Which headers of an answer that denies go to the client, beside those that always do; empty: all. */
  readonly toClientOnDeny: readonly string[];
  /** Which headers of an answer that allows go to the client, in place of the response's. */
  readonly toClientOnAllow: readonly string[];
};
