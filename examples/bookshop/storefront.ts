// The page a customer asks for: what a book is (details) and what readers say (reviews).
import { call, serve } from './service.ts';

serve('storefront', 'v1', async (request, url) => {
  const book = url.searchParams.get('book') ?? '7';
  const [details, reviews] = await Promise.all([
    call(`http://details/details?book=${book}`, request),
    call(`http://reviews/reviews?book=${book}`, request),
  ]);
  return { book, details, reviews };
});
