import { mkdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// The bundle begins here. What V8 compiled is kept beside the bundle for the next start, where that folder may be written. Nobody else may
// write it, or they could say what the next start runs.
const kept = join(import.meta.dirname, 'compiled');
try {
  mkdirSync(kept, { mode: 0o700 });
} catch {
  // It is there, or must not be.
}
enableCompileCache(kept);
await import('./weft.ts');
