// What is printed on the cover.
import { serve } from './service.ts';

const TITLES = ['The Loom', 'Warp and Woof', 'A Short History of Knots'];

serve('details', 'v1', (_request, url) => {
  const book = Number(url.searchParams.get('book') ?? 0);
  return { title: TITLES[book % TITLES.length], pages: 100 + (book % 9) * 37 };
});
