import { after, before, describe } from 'node:test';
import { nodeObjects } from './client-node.ts';
import { pythonClient, whyNot } from './programs.ts';
import { pythonObjects } from './python.ts';
import { Stage } from './stage.ts';

const noPython = await whyNot(pythonClient);

describe('client libraries', { timeout: 120_000 }, () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.open();
  });
  after(async () => {
    await stage?.close();
  });

  nodeObjects(() => stage);
  describe('Python', { skip: noPython ?? false }, () => pythonObjects(() => stage));
});
