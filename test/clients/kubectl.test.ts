import { after, afterEach, before } from 'node:test';
import { kubectl } from '../cluster/binaries.ts';
import { forty } from './forty.ts';
import { kubectlObjects } from './kubectl-objects.ts';
import { Stage } from './stage.ts';

let stage: Stage;
const programs = { oldest: '', older: '' };

before(async () => {
  [stage, programs.oldest, programs.older] = await Promise.all([Stage.open(), kubectl('1.30'), kubectl('1.36')]);
});
afterEach(async () => {
  await stage.endAll();
});
after(async () => {
  await stage?.close();
});

kubectlObjects(() => stage, 'kubectl of the cluster');
kubectlObjects(
  () => stage,
  'oldest kubectl',
  () => programs.oldest,
);
kubectlObjects(
  () => stage,
  'kubectl of a minor before',
  () => programs.older,
);
forty(() => stage);
