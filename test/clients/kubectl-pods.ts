import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BUSYBOX_IMAGE } from '../cluster/cluster.ts';
import type { Stage } from './stage.ts';

/** What kubectl does with Pods that run, besides its streams. */
export function kubectlPods(stage: () => Stage): void {
  const succeeds = async (args: string[], input?: string) => {
    const result = await stage().kubectl(args, input === undefined ? {} : { input });
    assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  };

  describe('kubectl: Pods', () => {
    it('logs: whole, the last lines, of all Pods of a label', async () => {
      assert.equal(await succeeds(['logs', 'vault-with-logs']), 'first line\nlast line\n');
      assert.equal(await succeeds(['logs', 'vault-with-logs', '--tail=1']), 'last line\n');
      assert.match(await succeeds(['logs', '-l', 'app=vault-with-logs', '--prefix']), /^\[pod\/.*\] first line$/m);
    });

    it('logs -f: each line as it is written, quiet for seconds between, until the container ends', async () => {
      const script = 'for i in 1 2 3; do echo line-$i; sleep 2; done; echo end';
      await succeeds([
        'run',
        'talker',
        `--image=${BUSYBOX_IMAGE}`,
        '--image-pull-policy=Never',
        '--restart=Never',
        '--',
        'sh',
        '-c',
        script,
      ]);
      await succeeds(['wait', '--for=jsonpath={.status.phase}=Running', 'pod/talker', '--timeout=30s']);
      const running = stage().start(['logs', '-f', 'talker']);
      await running.says(/line-1\n/);
      assert.ok(!running.stdout.includes('end'));
      assert.equal(await running.ended(), 0);
      assert.equal(running.stdout, 'line-1\nline-2\nline-3\nend\n');
      await succeeds(['delete', 'pod', 'talker', '--now']);
    });

    it('run --rm -i: made, attached to, its output, removed', async () => {
      const { code, stdout, stderr } = await stage().kubectl(
        [
          'run',
          'once',
          '--rm',
          '-i',
          '--restart=Never',
          `--image=${BUSYBOX_IMAGE}`,
          '--image-pull-policy=Never',
          '--',
          'sh',
          '-c',
          'read x; echo got $x',
        ],
        { input: 'this\n' },
      );
      assert.equal(code, 0, stderr);
      assert.match(stdout, /got this/);
      assert.match(stdout, /pod "once" deleted/);
    });

    it('a deployment: rollout status, scale, restart, history, undo, wait, describe, expose', async () => {
      const manifest = (text: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: rolled}
spec:
  replicas: 1
  selector: {matchLabels: {app: rolled}}
  template:
    metadata: {labels: {app: rolled}, annotations: {text: ${text}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "${BUSYBOX_IMAGE}", imagePullPolicy: Never, command: [sleep, infinity]}]
`;
      await succeeds(['apply', '-f', '-'], manifest('one'));
      assert.match(
        await succeeds(['rollout', 'status', 'deployment/rolled', '--timeout=60s']),
        /successfully rolled out/,
      );
      await succeeds(['scale', 'deployment/rolled', '--replicas=2']);
      await succeeds(['wait', 'deployment/rolled', '--for=jsonpath={.status.readyReplicas}=2', '--timeout=60s']);
      await succeeds(['apply', '-f', '-'], manifest('two'));
      await succeeds(['rollout', 'restart', 'deployment/rolled']);
      await succeeds(['rollout', 'status', 'deployment/rolled', '--timeout=60s']);
      assert.match(await succeeds(['rollout', 'history', 'deployment/rolled']), /REVISION/);
      await succeeds(['rollout', 'undo', 'deployment/rolled']);
      await succeeds(['rollout', 'status', 'deployment/rolled', '--timeout=60s']);
      assert.match(await succeeds(['describe', 'deployment', 'rolled']), /Events:/);
      assert.match(await succeeds(['exec', 'deploy/rolled', '--', 'echo', 'in']), /^in$/m);
      await succeeds(['expose', 'deployment', 'rolled', '--port=80']);
      await succeeds(['delete', 'deployment,service', 'rolled']);
    });

    it('the proxy subresource: where a rule names it, and nowhere else', async () => {
      const path = (pod: string) => `/api/v1/namespaces/${stage().namespace}/pods/${pod}/proxy/index.html`;
      assert.equal(await succeeds(['get', '--raw', path('web')]), 'a page\n');
      const denied = await stage().kubectl(['get', '--raw', path('reader')]);
      assert.equal(denied.code, 1);
      assert.match(denied.stderr, /SP_POLICY_DENIED: no rule that spells out pods\/proxy allows/);
      const posted = await stage().kubectl(['create', '--raw', path('web'), '-f', '-'], { input: '{}' });
      assert.match(posted.stderr, /SP_POLICY_DENIED/);
    });

    it('top and cluster-wide reads say what is missing', async () => {
      assert.match((await stage().kubectl(['top', 'pod'])).stderr, /Metrics API not available/);
      assert.match(await succeeds(['get', 'nodes']), /Ready/);
      assert.match((await stage().kubectl(['get', 'pods', '-A'])).stderr, /SP_POLICY_DENIED/);
    });
  });
}
