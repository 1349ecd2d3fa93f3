import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { goClient } from './programs.ts';
import type { Stage } from './stage.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/** client-go without a node: informers and content types. */
export function goObjects(stage: () => Stage): void {
  const go = async (...args: string[]) => await stage().kubectl(args, { program: await goClient() });

  describe('client-go: objects', () => {
    for (const contentType of ['application/json', PROTOBUF]) {
      it(`makes, reads, lists, watches, changes and removes in ${contentType}`, async () => {
        const { code, stdout, stderr } = await go('types', contentType, `typed-${contentType.replace(/.*[/.]/, '')}`);
        assert.equal(code, 0, stderr);
        const { listed, ...rest } = JSON.parse(stdout) as Record<string, unknown>;
        assert.deepEqual(rest, { watched: 'ünï', event: 'ADDED', read: 'ünï', bytes: 'AAH+/w==' });
        assert.ok((listed as number) > 0);
      });
    }

    it('a protobuf body that a rule must read is read', async () => {
      const { code, stderr } = await go('deploy', 'evil.example/miner:1', PROTOBUF);
      assert.equal(code, 1);
      assert.match(stderr, /SP_POLICY_DENIED: .*only-our-images.*evil\.example\/miner:1/);
      const ours = await go('deploy', 'sallyport.test/busybox:1', PROTOBUF);
      assert.equal(ours.code, 0, ours.stderr);
    });

    it('a shared informer: streamed list, changes, resync, and on over a restart of the gateway', async () => {
      const { cluster } = stage().scene;
      const admin = async (...args: string[]) => {
        const result = await cluster.kubectl([...args, '-n', stage().namespace]);
        assert.equal(result.code, 0, result.stderr);
      };
      await admin('create', 'configmap', 'before');
      const running = stage().start(['informer'], { program: await goClient() });
      await running.says(/"event":"synced"/);
      assert.match(running.stdout, /"event":"add","initial":true,"name":"before"/);
      const lists = stage().scene.heard(({ requestURI }) => /configmaps\?.*sendInitialEvents=true/.test(requestURI));
      assert.ok(lists.length > 0, 'the list was streamed');
      await admin('create', 'configmap', 'during');
      await running.says(/"event":"add","initial":false,"name":"during"/);
      await admin('patch', 'configmap', 'during', '-p', '{"data":{"a":"1"}}');
      await running.says(/"data":\{"a":"1"\},"event":"update","name":"during"/);
      await running.says(/"event":"resync"/);
      await admin('delete', 'configmap', 'during');
      await running.says(/"event":"delete","name":"during"/);

      await stage().restartGateway();
      await admin('create', 'configmap', 'after');
      await running.says(/"event":"add","initial":false,"name":"after"/, 40_000);
      assert.equal(await running.end(), 0);
    });
  });
}

/** client-go before an API server that speaks CBOR, which is off by default. */
export function goCBOR(stage: () => Stage): void {
  describe('client-go: CBOR', () => {
    const env = { KUBE_FEATURE_ClientsAllowCBOR: 'true', KUBE_FEATURE_ClientsPreferCBOR: 'true' };

    it('makes, reads, lists, watches, changes and removes', async () => {
      const { code, stdout, stderr } = await stage().kubectl(['types', 'application/cbor', 'typed-cbor'], {
        program: await goClient(),
        env,
      });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /"read":"ünï"/);
      const { status, body } = await stage().scene.ask(`/api/v1/namespaces/${stage().namespace}/configmaps`, {
        headers: ['Accept', 'application/cbor'],
      });
      assert.equal(status, 406);
      assert.match(body, /SP_MASKING_NOT_ACCEPTABLE/);
    });

    it('what was read masked is written back: CBOR is declined, and client-go sends JSON', async () => {
      const { scene, namespace } = stage();
      const path = `/api/v1/namespaces/${namespace}/configmaps`;
      const real = 'DB_PASSWORD=hunter22x\nLEVEL=info\n';
      const made = await scene.cluster.admin('POST', path, { metadata: { name: 'masked' }, data: { 'app.env': real } });
      assert.equal(made.status, 201, made.body);
      const { code, stdout, stderr } = await stage().kubectl(['writeback', 'application/cbor', 'masked'], {
        program: await goClient(),
        env,
      });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /DB_PASSWORD=sallyport\.masked\.[a-z2-7]{26}\\nLEVEL=info/);
      const { data } = JSON.parse((await scene.cluster.admin('GET', `${path}/masked`)).body) as { data: object };
      assert.deepEqual(data, { 'app.env': real, added: 'application/cbor' });
    });

    it('a body that a rule must read is read', async () => {
      const deploy = async (image: string) =>
        await stage().kubectl(['deploy', image, 'application/cbor'], { program: await goClient(), env });
      const foreign = await deploy('evil.example/miner:1');
      assert.equal(foreign.code, 1);
      assert.match(foreign.stderr, /SP_POLICY_DENIED: .*evil\.example\/miner:1/);
      const ours = await deploy('sallyport.test/busybox:1');
      assert.equal(ours.code, 0, ours.stderr);
    });
  });
}

/** client-go with Pods: both executors, both port-forwards. */
export function goStreams(stage: () => Stage): void {
  const go = async (...args: string[]) => {
    const { code, stdout, stderr } = await stage().kubectl(args, { program: await goClient() });
    assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };

  for (const transport of ['websocket', 'spdy']) {
    describe(`client-go: streams over ${transport}`, () => {
      it('exec: stdin, its end, output and errors apart, the exit code; big and many at once', async () => {
        await go('exec', `--transport=${transport}`, '--bytes=5000000');
        await go('exec', `--transport=${transport}`, '--count=20', '--parallel=10');
      });

      it('port-forward: big and many at once, each with its end', async () => {
        await go('forward', `--transport=${transport}`, '--connections=8', '--bytes=2000000');
        await go('forward', `--transport=${transport}`, '--count=10', '--parallel=5');
      });

      it('a denied port is refused on its own error stream; the others on the connection live on', async () => {
        const [before, denied, after] = (await go('ports', transport, 'web', '80', '5432', '80'))
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as { port: string; error: string; answer: string });
        assert.deepEqual(before, { port: '80', error: '', answer: 'a page\n' });
        assert.match(
          denied?.error ?? '',
          /^SP_POLICY_DENIED: port 5432: .*not-the-database: .* \(request [0-9a-f-]{36}\)$/,
        );
        assert.equal(denied?.answer, '');
        assert.deepEqual(after, before);
      });
    });
  }
}
