const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * The choice that a client always gets, of whatever order they come in: over many clients each as often as its weight. While the
 * choices stay it stays; when one leaves only its clients move, and one that comes takes its share of each. `nameOf` tells
 * choices apart. Null: there is none.
 */
export function choiceOfClient<Choice extends { readonly weight: number }>(
  choices: readonly Choice[],
  client: string,
  nameOf: (choice: Choice) => string,
): Choice | null {
  let best: Choice | null = null;
  let bestScore = -1;
  for (const choice of choices) {
    // Of exponential draws with these rates the smallest is that of a choice as often as its rate says (weighted rendezvous).
    const score = choice.weight / -Math.log(fractionOf(`${client} ${nameOf(choice)}`));
    if (score > bestScore) [best, bestScore] = [choice, score];
  }
  return best;
}

/** Between 0 and 1, neither of them: even over many texts, and the same in every process. */
function fractionOf(text: string): number {
  let hash = FNV_OFFSET;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME);
  // FNV alone lets texts that differ at their end lie side by side.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 + 2 ** -33;
}
