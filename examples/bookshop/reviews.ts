// What readers say. Three versions run side by side: v1 without stars, v2 with black ones, v3 with red ones.
//   node reviews.ts v1|v2|v3
import { call, serve } from './service.ts';

const version = process.argv[2] ?? 'v1';
const starColour = { v2: 'black', v3: 'red' }[version];

serve('reviews', version, async (request) => {
  const reviews = ['A gripping yarn.', 'I lost the thread half way.'];
  if (starColour === undefined) return { reviews };
  return { reviews, starColour, ratings: await call('http://ratings/ratings', request) };
});
