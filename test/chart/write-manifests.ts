import { join } from 'node:path';
import { writeManifests } from '../../charts/source/manifests.ts';
import { helm } from '../cluster/binaries.ts';

await writeManifests(await helm(), join(import.meta.dirname, '..', '..', 'deploy'));
