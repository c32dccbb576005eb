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
      'Tokens of one service whose signature is known to be right, so that it is not computed anew.',
    ),
  },
} as const satisfies SettingGroup;

/** Tokens of requests: the numbers. */
export const JWT = valuesOf(JWT_SETTINGS);
