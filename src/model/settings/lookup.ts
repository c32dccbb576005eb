import { type SettingGroup, setting, valuesOf } from './setting.ts';

/** On-demand discovery: the rows of the table. */
export const LOOKUP_SETTINGS = {
  about: {
    title: 'On-demand discovery',
    text: 'What an agent asks for that follows only what its workloads dial (`--on-demand`).',
  },
  rows: {
    openMax: setting(8_192, 'count', 'Names that wait for an answer at once; whoever needs a further one is refused.'),
    openPerWorkloadMax: setting(
      1_024,
      'count',
      'The same of one workload, which may dial whatever it likes; a service with many written endpoints takes some of them at once.',
    ),
    namesMax: setting(
      16_384,
      'count',
      'Names that are followed; beyond that those which were needed last the longest time ago are left, of what nobody has first.',
    ),
    lookMs: setting(1_000, 'ms', 'How often it is looked which names are to be asked for again, or left.'),
    unknownAgainMs: setting(
      10_000,
      'ms',
      'How long word that nobody has an address holds without being asked for again: an istiod does not tell who gets it later.',
    ),
    ownAgainMs: setting(1_000, 'ms', 'The same of the address of a workload of this node, which somebody is about to have.'),
    unknownKeptMs: setting(300_000, 'ms', 'How long it is asked for again after a workload has needed it last.'),
  },
} as const satisfies SettingGroup;

/** On-demand discovery: the numbers. */
export const LOOKUP = valuesOf(LOOKUP_SETTINGS);
