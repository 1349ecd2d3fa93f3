import { writeFileSync } from 'node:fs';
import { REFERENCE } from './reference.ts';

for (const [file, make] of Object.entries(REFERENCE)) {
  writeFileSync(new URL(`../../${file}`, import.meta.url), make());
  process.stdout.write(`${file}\n`);
}
