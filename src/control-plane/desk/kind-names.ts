import { nearestName } from '#control-plane/resources/nearest-name.ts';
import { WeftError } from '#model/error.ts';

/** What people call kinds on other command lines. */
const SHORT: Readonly<Record<string, string>> = {
  svc: 'Service',
  po: 'Pod',
  ns: 'Namespace',
  gtw: 'Gateway',
  ap: 'AuthorizationPolicy',
  pa: 'PeerAuthentication',
  we: 'WorkloadEntry',
  se: 'ServiceEntry',
  dr: 'DestinationRule',
  vs: 'VirtualService',
};

/** The kind that a word stands for: its name in any case, its plural, or a short name. Errors: WEFT_KIND_UNREAD. */
export function kindNamed(word: string, kinds: readonly string[]): string {
  const wanted = word.toLowerCase();
  const found = kinds.find((kind) => [kind.toLowerCase(), pluralOf(kind)].includes(wanted) || SHORT[wanted] === kind);
  if (found !== undefined) return found;
  const nearest = nearestName(word, [...kinds, ...kinds.map(pluralOf)]);
  throw new WeftError('WEFT_KIND_UNREAD', `Weft does not read resources of kind "${word}"`, {
    remedy: nearest === null ? `write one of ${kinds.join(', ')}` : `did you mean ${nearest}?`,
  });
}

/** As the API server of a cluster calls them. */
function pluralOf(kind: string): string {
  const word = kind.toLowerCase();
  if (word.endsWith('y')) return `${word.slice(0, -1)}ies`;
  return word.endsWith('s') ? `${word}es` : `${word}s`;
}
