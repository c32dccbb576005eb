import { type SettingGroup, setting, valuesOf } from './setting.ts';

/** Tokens of requests: the rows of the table. */
export const JWT_SETTINGS = {
  about: { title: 'Tokens of requests', text: 'JSON Web Tokens that a RequestAuthentication asks for.' },
  rows: {
    tokenCharactersMax: setting(16_384, 'characters', 'Of one token; a longer one is no token.'),
    clockSkewMs: setting(60_000, 'ms', 'How far clocks of issuers may be off (Envoy).'),
    keysMax: setting(100, 'count', 'Of one key set; the others are not looked at.'),
    knownTokensMax: setting(
      1_000,
      'count',
      'Tokens that a waypoint knows to have been good, so that they are neither read nor their signatures computed anew.',
    ),
    fetchTimeoutMs: setting(5_000, 'ms', 'How long fetching keys may take where the rule does not say (Istio).'),
    fetchTimeoutMaxMs: setting(60_000, 'ms', 'The longest that a rule can ask for: requests wait for it.'),
    fetchedBytesMax: setting(1_048_576, 'bytes', 'Of an answer with keys; a longer one is none.'),
    refreshMs: setting(
      1_200_000,
      'ms',
      'Keys that are fetched are fetched anew so often (Istio), or as often as their server says.',
    ),
    refreshMinMs: setting(60_000, 'ms', 'At most so often, whatever their server says.'),
    fetchRetryMs: setting(1_000, 'ms', 'After a first fetch that failed; doubled with each further one.'),
    fetchRetryMaxMs: setting(60_000, 'ms', 'The longest such pause.'),
    unknownKeyPauseMs: setting(
      10_000,
      'ms',
      'Between two fetches that a token with an unknown key asks for: anybody can send one.',
    ),
    keysKeptMs: setting(
      86_400_000,
      'ms',
      'How long keys count that cannot be fetched anew; after it no token of their issuer is valid.',
    ),
    sourcesMax: setting(256, 'count', 'Places from which one waypoint fetches keys; what needs a further one is refused.'),
    waitingMax: setting(1_000, 'count', 'Requests of one data thread that wait for keys; a further one is refused at once.'),
  },
} as const satisfies SettingGroup;

/** Tokens of requests: the numbers. */
export const JWT = valuesOf(JWT_SETTINGS);
