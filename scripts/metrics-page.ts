// Writes docs/metrics.md from the tables in src/model/telemetry: node scripts/metrics-page.ts
import { writeFileSync } from 'node:fs';
import { metricsDocument } from '../test/structure/metrics.ts';

writeFileSync(new URL('../docs/metrics.md', import.meta.url), metricsDocument());
