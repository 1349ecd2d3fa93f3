import { after, afterEach, before } from 'node:test';
import { kubectl } from '../cluster/binaries.ts';
import { nodeStreams } from './client-node.ts';
import { endings } from './endings.ts';
import { goStreams } from './go-client.ts';
import { helm } from './helm.ts';
import { k9s } from './k9s.ts';
import { kubectlExec } from './kubectl-exec.ts';
import { kubectlForward } from './kubectl-forward.ts';
import { kubectlPods } from './kubectl-pods.ts';
import { leaks } from './leaks.ts';
import { pythonStreams } from './python.ts';
import { busyboxPod, Stage } from './stage.ts';

/** One cluster with a node for every client that needs pods. */
let stage: Stage;
const programs = { oldest: '', older: '' };

before(async () => {
  [stage, programs.oldest, programs.older] = await Promise.all([
    Stage.open({ node: true }),
    kubectl('1.30'),
    kubectl('1.36'),
  ]);
  const page = 'mkdir -p /www; echo a page > /www/index.html; nc -ll -p 7 -e cat & exec httpd -f -p 80 -h /www';
  const reader = 'while read line; do echo read $line; echo also $line >&2; done; sleep infinity';
  await stage.pods(
    [
      busyboxPod('web', page),
      busyboxPod('reader', reader, '      stdin: true'),
      busyboxPod('patient', 'sleep infinity'),
      busyboxPod('vault-with-logs', 'echo first line; echo last line; sleep infinity'),
      busyboxPod('vault', 'while :; do echo tick; sleep 1; done'),
    ].join('\n---\n'),
  );
});

afterEach(async () => {
  await stage.endAll();
});

after(async () => {
  await stage?.close();
});

for (const transport of ['WebSocket', 'SPDY'] as const) {
  for (const [name, program] of [
    ['kubectl of the cluster', undefined],
    ['oldest kubectl', () => programs.oldest],
    ['kubectl of a minor before', () => programs.older],
  ] as const) {
    kubectlExec(() => stage, name, transport, program);
    kubectlForward(() => stage, name, transport, program);
  }
}

kubectlPods(() => stage);
helm(() => stage);
goStreams(() => stage);
nodeStreams(() => stage);
pythonStreams(() => stage);
k9s(() => stage);
endings(() => stage);
leaks(() => stage);
