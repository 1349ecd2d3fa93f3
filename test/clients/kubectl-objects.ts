import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Stage } from './stage.ts';

/** Everything of one kubectl that is no stream, on objects that need no node. */
export function kubectlObjects(stage: () => Stage, name: string, program?: () => string): void {
  const options = () => (program === undefined ? {} : { program: program() });
  const kubectl = (args: string[], more: { input?: string; env?: Record<string, string> } = {}) =>
    stage().kubectl(args, { ...options(), ...more });
  const succeeds = async (args: string[], more: { input?: string; env?: Record<string, string> } = {}) => {
    const result = await kubectl(args, more);
    assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  };
  const id = name.replaceAll(/[^a-z0-9]/g, '-');

  describe(`${name}: objects`, () => {
    it('create, get in every form, describe, label, annotate, patch, delete', async () => {
      const map = `map-${id}`;
      await succeeds(['create', 'configmap', map, '--from-literal=a=1']);
      assert.equal(await succeeds(['get', 'cm', map, '-o', 'jsonpath={.data.a}']), '1');
      assert.match(await succeeds(['get', 'cm', map]), new RegExp(`NAME +DATA +AGE\\n${map} +1 +`));
      assert.equal(JSON.parse(await succeeds(['get', 'cm', map, '-o', 'json'])).data.a, '1');
      assert.match(await succeeds(['get', 'cm', map, '-o', 'yaml']), /\n {2}a: "1"\n/);
      assert.match(
        await succeeds(['get', 'cm,sa', '-o', 'name']),
        new RegExp(`configmap/${map}\n(.*\n)*serviceaccount/default`),
      );
      assert.match(await succeeds(['get', 'cm', '--field-selector', `metadata.name=${map}`, '-o', 'wide']), /1/);
      assert.match(await succeeds(['get', 'cm', '--chunk-size=1', '-o', 'name']), new RegExp(map));
      assert.match(await succeeds(['describe', 'cm', map]), /Data\n====\na:\n----\n1\n/);
      await succeeds(['label', 'cm', map, `of=${id}`]);
      await succeeds(['annotate', 'cm', map, 'note=x']);
      assert.match(await succeeds(['get', 'cm', '-l', `of=${id}`, '-o', 'name']), new RegExp(map));
      await succeeds(['patch', 'cm', map, '-p', '{"data":{"b":"2"}}']);
      await succeeds(['patch', 'cm', map, '--type=merge', '-p', '{"data":{"c":"3"}}']);
      await succeeds(['patch', 'cm', map, '--type=json', '-p', '[{"op":"remove","path":"/data/a"}]']);
      assert.equal(await succeeds(['get', 'cm', map, '-o', 'jsonpath={.data}']), '{"b":"2","c":"3"}');
      assert.equal(
        await succeeds(['delete', 'cm', map]),
        `configmap "${map}" deleted${fromNamespace(stage(), name)}\n`,
      );
      const gone = await kubectl(['get', 'cm', map]);
      assert.equal(gone.stderr, `Error from server (NotFound): configmaps "${map}" not found\n`);
    });

    it('apply on either side, diff, edit, replace, and a dry run of each', async () => {
      const map = `applied-${id}`;
      const manifest = (value: string) =>
        `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${map}}\ndata: {a: ${value}}\n`;
      const read = () => succeeds(['get', 'cm', map, '-o', 'jsonpath={.data.a}']);
      await succeeds(['apply', '--dry-run=server', '-f', '-'], { input: manifest('never') });
      assert.equal((await kubectl(['get', 'cm', map])).code, 1);
      assert.match(await succeeds(['apply', '-f', '-'], { input: manifest('one') }), /created/);
      assert.match(await succeeds(['apply', '-f', '-'], { input: manifest('one') }), /unchanged/);
      assert.match(await succeeds(['apply', '-f', '-'], { input: manifest('two') }), /configured/);
      const different = await kubectl(['diff', '-f', '-'], { input: manifest('three') });
      assert.equal(different.code, 1, different.stderr);
      assert.match(different.stdout, /-\s+a: two\n\+\s+a: three/);
      const conflict = await kubectl(['apply', '--server-side', '--field-manager=other', '-f', '-'], {
        input: manifest('four'),
      });
      assert.match(conflict.stderr, /conflict with "kubectl-client-side-apply"/);
      await succeeds(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input: manifest('four') });
      assert.equal(await read(), 'four');
      await succeeds(['edit', 'cm', map], {
        env: { EDITOR: 'sed -i s/four/five/', KUBE_EDITOR: 'sed -i s/four/five/' },
      });
      assert.equal(await read(), 'five');
      await succeeds(['replace', '-f', '-'], { input: manifest('six') });
      assert.equal(await read(), 'six');
      await succeeds(['delete', '-f', '-'], { input: manifest('six') });
    });

    it('apply of several objects, and their deletion by label', async () => {
      const kinds = ['a', 'b', 'c'].map(
        (one) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${one}-${id}, labels: {set: ${id}}}\n`,
      );
      const file = join(stage().folder, `${id}.yaml`);
      await writeFile(file, kinds.join('\n---\n'));
      assert.equal((await succeeds(['apply', '-f', file])).split('\n').length, 4);
      await succeeds(['delete', 'cm', '-l', `set=${id}`]);
      assert.equal(await succeeds(['get', 'cm', '-l', `set=${id}`, '-o', 'name']), '');
    });

    it('a watch shows each change as it happens, and ends with its client', async () => {
      const map = `watched-${id}`;
      const running = stage().start(['get', 'cm', '--watch-only', '--output-watch-events', '-o', 'json'], options());
      // Until the watch is there, changes are not its.
      for (let round = 0; !running.stdout.includes(map); round++) {
        await succeeds(['create', 'configmap', `${map}-${round}`]);
        await new Promise((resolve) => setTimeout(resolve, 200));
        assert.ok(round < 30, running.stderr);
      }
      assert.match(running.stdout, /"type": ?"ADDED"/);
      await running.end();
    });

    it('scale, rollout restart, set image, wait', async () => {
      const deployment = `d-${id}`;
      await succeeds(['create', 'deployment', deployment, '--image=sallyport.test/busybox:1', '--replicas=0']);
      await succeeds(['scale', 'deployment', deployment, '--replicas=0', '--current-replicas=0']);
      await succeeds(['rollout', 'restart', `deployment/${deployment}`]);
      await succeeds(['set', 'image', `deployment/${deployment}`, 'busybox=sallyport.test/other:1']);
      assert.equal(
        await succeeds(['get', 'deploy', deployment, '-o', 'jsonpath={.spec.template.spec.containers[0].image}']),
        'sallyport.test/other:1',
      );
      await succeeds(['wait', `deployment/${deployment}`, '--for=jsonpath={.spec.replicas}=0', '--timeout=10s']);
      await succeeds(['delete', 'deployment', deployment]);
    });

    it('auth whoami and can-i, api-resources, api-versions, explain, version, cluster-info', async () => {
      assert.match(await succeeds(['auth', 'whoami', '-o', 'json']), new RegExp(`"sallyport:${stage().scene.user}"`));
      assert.equal(await succeeds(['auth', 'can-i', 'get', 'pods']), 'yes\n');
      assert.match(await succeeds(['auth', 'can-i', '--list']), /Resources/);
      assert.match(await succeeds(['api-resources']), /agentpolicies/);
      assert.match(await succeeds(['api-versions']), /^apps\/v1$/m);
      assert.match(await succeeds(['explain', 'pod.spec.containers.image']), /FIELD: image/);
      assert.match(await succeeds(['explain', 'agentpolicy.spec.rules']), /rules/);
      assert.match(await succeeds(['version']), /Server Version: v1\./);
      assert.match(await succeeds(['get', '--raw', '/version']), /gitVersion/);
    });

    it('top fails for the want of metrics, as it does without the gateway', async () => {
      const { code, stderr } = await kubectl(['top', 'pods']);
      assert.equal(code, 1);
      assert.match(stderr, /error: Metrics API not available/);
    });
  });
}

/** Newer kubectl say where they deleted. */
function fromNamespace(stage: Stage, name: string): string {
  return name.startsWith('oldest') ? '' : ` from ${stage.namespace} namespace`;
}
