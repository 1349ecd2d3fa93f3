import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Stage } from '../clients/stage.ts';
import { BUSYBOX_IMAGE } from '../cluster/cluster.ts';

const PLACEHOLDER = 'sallyport\\.masked\\.[a-z2-7]{26}';

/** Made when the test runs: nothing that looks like a secret stands in a file. */
const token = `ghp_${randomBytes(18).toString('hex')}`;
const password = `${randomBytes(6).toString('base64url')}x9`;
const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  .privateKey.export({ type: 'pkcs8', format: 'pem' })
  .toString();
const secrets = [token, password, pem.split('\n')[1]!, pem.split('\n')[2]!.slice(0, 20)];

let stage: Stage;

before(async () => {
  stage = await Stage.open({ node: true });
  const environment = JSON.stringify([
    { name: 'TOKEN', value: token },
    { name: 'DB_PASSWORD', value: password },
    { name: 'PEM', value: pem },
  ]);
  const pod = (name: string, command: string, more = ''): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: ${name}
      image: ${BUSYBOX_IMAGE}
      imagePullPolicy: Never
      command: [sh, -c, ${JSON.stringify(command)}]
      env: ${environment}
${more}`;
  const says =
    'echo "got $TOKEN"; echo "$PEM"; env | grep PASSWORD; printf "\\033[31m$TOKEN\\033[0m\\n"; sleep infinity';
  const reader = 'while read line; do echo read $line; echo "also $line" >&2; done; sleep infinity';
  await stage.pods(
    [
      pod(
        'web',
        'mkdir -p /data; printf "token: $TOKEN\\n$PEM" > /data/app.yaml; head -c 300000 /dev/urandom > /data/random; sleep infinity',
      ),
      pod('speaker', says),
      pod('ticker', 'i=0; while :; do echo "tick $i $TOKEN"; echo "$PEM"; i=$((i + 1)); sleep 0.3; done'),
      pod('reader', reader, '      stdin: true'),
    ].join('\n---\n'),
  );
  const { cluster } = stage.scene;
  const falls = pod('falls', 'echo "before the fall $TOKEN"; echo "$PEM"; exit 1');
  const made = await cluster.kubectl(['apply', '-n', stage.namespace, '-f', '-'], { input: falls });
  assert.equal(made.code, 0, made.stderr);
});

afterEach(async () => {
  await stage.endAll();
});

after(async () => {
  await stage?.close();
});

function hidesSecrets(text: string): void {
  for (const secret of secrets) assert.ok(!text.includes(secret), 'a secret is in the output');
}

for (const transport of ['WebSocket', 'SPDY'] as const) {
  suite(`masked streams over ${transport}`, () => {
    const run = (...args: string[]) => stage.kubectl(args, { transport });
    const start = (...args: string[]) => stage.start(args, { transport });
    const terminal = (command: string) => stage.start(['-qec', command, '/dev/null'], { transport, program: 'script' });

    test('exec: stdout and stderr are masked, the exit code is the command’s', async () => {
      const script = 'echo "out $TOKEN"; echo "$PEM"; echo "err $TOKEN" >&2; env; exit 7';
      const { code, stdout, stderr } = await run('exec', 'web', '--', 'sh', '-c', script);
      assert.equal(code, 7);
      hidesSecrets(stdout + stderr);
      assert.match(stdout, new RegExp(`^out ${PLACEHOLDER}\\n${PLACEHOLDER}\\n`));
      assert.match(stdout, new RegExp(`^DB_PASSWORD=${PLACEHOLDER}$`, 'm'));
      assert.match(stdout, /^PATH=\/usr/m);
      assert.match(stderr, new RegExp(`^err ${PLACEHOLDER}\ncommand terminated with exit code 7`));
    });

    test('exec: a secret in pieces that come one after the other', async () => {
      const script =
        'printf "t: $(echo $TOKEN | cut -c1-20)"; sleep 0.3; printf "$(echo $TOKEN | cut -c21-)\\n"; printf "no line end"';
      const { code, stdout } = await run('exec', 'web', '--', 'sh', '-c', script);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`^t: ${PLACEHOLDER}\nno line end$`));
    });

    test('exec: random bytes come as they are', async () => {
      const sum = await run('exec', 'web', '--', 'md5sum', '/data/random');
      const child = start('exec', 'web', '--', 'sh', '-c', 'cat /data/random; cat /data/random');
      assert.equal(await child.ended(60_000), 0);
      const half = Buffer.from(child.stdout, 'latin1').subarray(0, 300_000);
      assert.equal(createHash('md5').update(half).digest('hex'), sum.stdout.slice(0, 32));
      assert.equal(child.stdout.length, 600_000);
    });

    test('exec with a terminal: the prompt comes, what is typed comes back, secrets do not', async () => {
      const shell = terminal('kubectl exec -it web -- sh'.replace('kubectl', stage.scene.cluster.binaries.kubectl!));
      await shell.says(/# /);
      for (const char of 'echo x:$TOKEN') {
        shell.write(char);
        await delay(15);
      }
      await shell.says(/echo x:\$TOKEN/);
      shell.write('\n');
      await shell.says(new RegExp(`x:${PLACEHOLDER}`));
      shell.write('echo "$PEM"; printf "\\033[1m$TOKEN\\033[0m\\n"; echo done-$((40 + 2))\n');
      await shell.says(/done-42/);
      shell.write('exit 3\n');
      assert.equal(await shell.ended(), 3);
      hidesSecrets(shell.stdout);
    });

    test('attach: what the process writes is masked, on both outputs', async () => {
      const child = start('attach', '-i', 'reader');
      await delay(1_000);
      child.write(`one ${token}\n`);
      await child.says(new RegExp(`read one ${PLACEHOLDER}`));
      await child.says(new RegExp(`also one ${PLACEHOLDER}`));
      child.write(`--password=${password} end\n`);
      await child.says(/read .* end/);
      hidesSecrets(child.stdout + child.stderr);
    });

    test('cp: files come whole, with secrets masked in place; what is sent arrives as it was sent', async () => {
      const to = join(stage.folder, `app-${transport}.yaml`);
      const back = await run('cp', 'web:/data/app.yaml', to);
      assert.equal(back.code, 0, back.stderr);
      const copied = await readFile(to, 'latin1');
      hidesSecrets(copied);
      assert.equal(copied.length, `token: ${token}\n${pem}`.length);
      assert.match(copied, /^token: /);
      const random = join(stage.folder, `random-${transport}`);
      assert.equal((await run('cp', 'web:/data/random', random)).code, 0);
      assert.equal((await readFile(random)).length, 300_000);
      const sent = join(stage.folder, 'sent');
      await writeFile(sent, `mine ${token}\n`);
      assert.equal((await run('cp', sent, 'web:/tmp/sent')).code, 0);
      const { stdout } = await run('exec', 'web', '--', 'sh', '-c', 'grep -c "mine $TOKEN" /tmp/sent');
      assert.equal(stdout, '1\n');
    });
  });
}

suite('masked logs', () => {
  const run = (...args: string[]) => stage.kubectl(args);

  test('of a container that runs, with and without timestamps', async () => {
    for (const more of [[], ['--timestamps'], ['--tail=20'], ['--limit-bytes=100000']]) {
      const { code, stdout, stderr } = await run('logs', 'speaker', ...more);
      assert.equal(code, 0, stderr);
      hidesSecrets(stdout);
      assert.match(stdout, new RegExp(`got ${PLACEHOLDER}\n`));
      assert.match(stdout, new RegExp(`DB_PASSWORD=${PLACEHOLDER}\n`));
      assert.match(stdout, new RegExp(`\\x1b\\[31m${PLACEHOLDER}\\x1b\\[0m\n`));
    }
  });

  test('of one that is gone', async () => {
    // It falls again and again: an answer may come too early, or just as the kubelet clears away what is asked for.
    let answer = await run('logs', 'falls', '--previous');
    for (let tries = 0; tries < 60 && !answer.stdout.startsWith('before'); tries++) {
      await delay(500);
      answer = await run('logs', 'falls', '--previous');
    }
    const { code, stdout, stderr } = answer;
    assert.equal(code, 0, stderr);
    hidesSecrets(stdout);
    assert.match(stdout, new RegExp(`^before the fall ${PLACEHOLDER}\n${PLACEHOLDER}\n`));
  });

  test('as they are followed', async () => {
    const follow = stage.start(['logs', '-f', '--timestamps', 'ticker']);
    const [, first] = await follow.says(new RegExp(`Z tick (\\d+) ${PLACEHOLDER}\n`));
    await follow.says(new RegExp(`Z tick ${Number(first) + 3} ${PLACEHOLDER}\n`));
    hidesSecrets(follow.stdout);
    await follow.end();
  });
});

suite('what a rule demands of streams', () => {
  before(async () => {
    await stage.scene.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: MaskingRule
metadata: {name: ${stage.namespace}}
spec:
  subjects: [{kind: Group, name: ${stage.scene.group}}]
  match: {apiGroups: [""], resources: ["*/*"]}
  patterns: [{name: badge, regex: 'badge-[0-9]{4}', keywords: [badge-]}]
  copies: Refuse
`);
    for (let tries = 0; tries < 200; tries++) {
      const { stdout } = await stage.kubectl(['exec', 'web', '--', 'echo', 'badge-1234']);
      if (stdout.startsWith('sallyport.masked.')) return;
      await delay(50);
    }
    assert.fail('the rule does not act');
  });
  after(async () => {
    await stage.scene.cluster.kubectl(['delete', 'maskingrule', stage.namespace]);
  });

  for (const transport of ['WebSocket', 'SPDY'] as const) {
    test(`${transport}: copies and port-forwards are refused, and say by which rule`, async () => {
      const copy = await stage.kubectl(['cp', 'web:/data/app.yaml', join(stage.folder, 'none')], { transport });
      assert.notEqual(copy.code, 0);
      assert.match(
        copy.stderr,
        new RegExp(`SP_MASKING_STREAM_REFUSED: MaskingRule ${stage.namespace}: files must not be copied`),
      );
      const forward = await stage.kubectl(['port-forward', 'pod/web', ':80'], { transport });
      assert.notEqual(forward.code, 0);
      assert.match(forward.stderr, /SP_MASKING_STREAM_REFUSED: .*cannot be masked/);
      const { code, stdout } = await stage.kubectl(
        ['exec', 'web', '--', 'sh', '-c', 'echo badge-4711 $TOKEN; exit 4'],
        { transport },
      );
      assert.equal(code, 4);
      assert.match(stdout, new RegExp(`^${PLACEHOLDER} ${PLACEHOLDER}\n$`));
    });
  }

  test('logs are masked by it', async () => {
    const { stdout } = await stage.kubectl(['logs', 'speaker']);
    hidesSecrets(stdout);
  });
});
