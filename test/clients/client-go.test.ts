import { after, afterEach, before, describe } from 'node:test';
import { goCBOR, goObjects } from './go-client.ts';
import { goClient, whyNot } from './programs.ts';
import { Stage } from './stage.ts';

const skip = await whyNot(goClient);

describe('client-go', { skip: skip ?? false, timeout: 180_000 }, () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.open();
  });
  afterEach(async () => {
    await stage.endAll();
  });
  after(async () => {
    await stage?.close();
  });

  goObjects(() => stage);
});

describe('client-go, where CBOR is enabled', { skip: skip ?? false, timeout: 180_000 }, () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.open({ apiServerFlags: ['--feature-gates=CBORServingAndStorage=true'] });
  });
  after(async () => {
    await stage?.close();
  });

  goCBOR(() => stage);
});
