import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { ocsfEvent } from '../../src/recording/reading/ocsf.ts';
import { play } from '../../src/recording/reading/playback.ts';
import { whyNot } from '../clients/programs.ts';
import { anHour, eventLine, recordingCommand, storeInFolder, writeRecordings } from './made-recording.ts';
import { asciinema3, auditTypes, piped, readingPython } from './reading-programs.ts';

const run = promisify(execFile);
const store = storeInFolder();
const lines = anHour();
const shellID = lines.find((line) => line.kind === 'Event' && line.exec !== undefined) as { auditID: string };

before(async () => {
  const bob = { ...SAMPLE_IDENTITY, user: { username: 'bob', uid: '' } };
  await writeRecordings(store.storage, [
    { identity: { ...SAMPLE_IDENTITY, name: 'cursor-hour' }, lines },
    {
      identity: {
        ...bob,
        name: 'ci-run',
        caller: { method: 'OIDC', issuer: 'https://ci.example', run: '42' },
        startTime: '2026-02-01T00:00:00.000Z',
      },
      lines: [eventLine('ResponseComplete')],
    },
    { identity: { ...bob, name: 'still-open' }, lines: [eventLine('ResponseComplete')], open: true },
  ]);
});
after(() => store.remove());

const command = async (...args: string[]) => await recordingCommand(store.folder, args);
const names = (stdout: string): string[] =>
  stdout
    .split('\n')
    .slice(1, -1)
    .map((line) => line.split(' ')[0]!)
    .sort((a, b) => (a < b ? -1 : 1));

test('list: all, and by caller, agent, time, namespace, denied only', async () => {
  const all = await command('list');
  assert.equal(all.code, 0, all.stderr);
  assert.deepEqual(names(all.stdout), ['ci-run', 'cursor-hour', 'still-open']);
  assert.match(all.stdout, /^NAME +CALLER +AGENT +STATE +REQUESTS +DENIED +MASKED +STARTED +ENDED\n/);
  assert.match(all.stdout, /cursor-hour +alice@shop\.example +cursor +Complete +6 +1 +2 /);
  assert.match(all.stdout, /still-open +bob +cursor +Open +1 +0 +0 /);
  const only = async (...args: string[]) => names((await command('list', ...args)).stdout);
  assert.deepEqual(await only('--caller', 'bob'), ['ci-run', 'still-open']);
  assert.deepEqual(await only('--caller', 'alice@'), ['cursor-hour', 'still-open']);
  assert.deepEqual(await only('--agent', 'cursor'), ['cursor-hour', 'still-open']);
  assert.deepEqual(await only('--denied'), ['cursor-hour']);
  assert.deepEqual(await only('--namespace', 'vault'), ['cursor-hour']);
  assert.deepEqual(await only('--until', '2026-01-15T00:00:00Z'), ['cursor-hour', 'still-open']);
  assert.deepEqual(await only('--since', '2026-01-02T05:00:00Z'), ['still-open']);
  assert.deepEqual(await only('--agent', 'nobody'), []);
  const json = (await command('list', '-o', 'json', '--denied')).stdout;
  assert.equal((JSON.parse(json) as { counts: { denied: number } }).counts.denied, 1);
});

test('show: one entry for each request, with its bodies where they are asked for, and as JSON', async () => {
  const { code, stdout } = await command('show', 'cursor-hour');
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^recording: cursor-hour\ncaller: alice@shop\.example \(https:\/\/id\.shop\.example\)\nagent: cursor\n/,
  );
  assert.match(stdout, /kubectl exec -n shop web-0 -c web -i -t -- sh -c 'ls -l; exit 3'\n {4}\(101\) /);
  assert.match(
    stdout,
    /kubectl delete deployments\.apps web -n vault\n {4}\(403, Refused, SP_POLICY_DENIED, denied by cursor\/hands-off\)/,
  );
  assert.match(stdout, /approval shop\/ar-1: Approved by bob: ticket 17\n/);
  assert.match(stdout, /masked: card-numbers\/payment-card 2\n/);
  assert.match(stdout, /GAP: 3 lines could not be kept/);
  assert.match(stdout, /kubectl delete pods web-1 -n shop\n {4}outcome unknown/);
  assert.ok(!stdout.includes('needle'));
  const bodies = (await command('show', 'cursor-hour', '--bodies')).stdout;
  assert.match(bodies, / {4}stdout, \d+ B:\n {4}\| \\u\{1b\}\[1;34mbin/);
  assert.match(bodies, /request, 30 B:\n {4}\| \{"kind":"ConfigMap"/);
  const json = (await command('show', 'cursor-hour', '-o', 'json')).stdout.trim().split('\n');
  assert.equal(json.length, lines.length + 2);
  assert.deepEqual(
    json.map((line) => (JSON.parse(line) as { seq: number }).seq),
    json.map((_, index) => index + 1),
  );
});

test('search: by argv, resource and text, also across two pieces of a stream, since', async () => {
  const hits = async (...args: string[]) => {
    const { stdout } = await command('search', '-o', 'json', ...args);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { recording: string; where: string; auditID: string });
  };
  assert.deepEqual(
    (await hits('--text', 'haystack')).map(({ where, auditID }) => [where, auditID]),
    [['stdout', shellID.auditID]],
  );
  assert.deepEqual(
    (await hits('--argv', 'ls -l')).map(({ auditID }) => auditID),
    [shellID.auditID],
  );
  assert.deepEqual(
    (await hits('--resource', 'deployments.apps')).map(({ recording }) => recording),
    ['cursor-hour'],
  );
  assert.deepEqual(
    (await hits('--resource', 'pods', '--text', 'PodList')).map(({ where }) => where),
    ['answer'],
  );
  assert.equal((await hits('--text', 'ticket 17')).length, 1);
  assert.equal((await hits('ci-run', '--resource', 'pods')).length, 1);
  assert.deepEqual(await hits('--resource', 'pods', '--since', '2026-01-03T00:00:00Z'), []);
  const nothing = await command('search', '--text', 'not there at all');
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /nothing was found/);
});

test('replay: terminal output at its own time, idle capped, through the list of sequences; requests as commands', async () => {
  const { code, stdout } = await command('replay', 'cursor-hour', '--speed', '1000');
  assert.equal(code, 0);
  assert.match(stdout, /\$ kubectl get pods -n shop/);
  assert.ok(stdout.includes('\u001b[1;34mbin\u001b[0m  etc\r\n'));
  assert.ok(!stdout.includes('\u001b]52'), 'the clipboard is not written');
  const waited: number[] = [];
  const { stdout: cast } = await command(
    'export',
    'cursor-hour',
    '--format',
    'asciicast',
    '--request',
    shellID.auditID,
  );
  const source = async function* () {
    yield* cast.trim().split('\n');
  };
  const wait = async (milliseconds: number) => void waited.push(milliseconds);
  await play(source(), () => {}, { speed: 2, idle: 2, signal: new AbortController().signal, wait });
  assert.ok(
    waited.some((each) => Math.abs(each - 1_000) < 1),
    'thirty quiet seconds are two, at twice the speed',
  );
  assert.ok(waited.every((each) => each <= 1_000));
});

test('replay --raw asks first, and plays nothing where nobody can be asked', async () => {
  const refused = await command('replay', 'cursor-hour', '--raw');
  assert.equal(refused.code, 1);
  assert.equal(refused.stdout, '');
  const asked: string[] = [];
  const terminal = (answer: string) => ({
    colours: false,
    ask: async (question: string) => {
      asked.push(question);
      return answer;
    },
  });
  const no = await recordingCommand(store.folder, ['replay', 'cursor-hour', '--raw'], terminal('n'));
  assert.equal(no.code, 1);
  const yes = await recordingCommand(
    store.folder,
    ['replay', 'cursor-hour', '--raw', '--speed', '1000'],
    terminal('y'),
  );
  assert.ok(yes.stdout.includes('\u001b]52;c;ZXZpbA==\u0007'));
  assert.ok(yes.stdout.endsWith('\u001b[r'), 'the terminal is left as one wants to find it');
  assert.match(asked[0]!, /write the clipboard/);
});

test('audit: Kubernetes’ own types read every event, strictly', async (context) => {
  const why = await whyNot(auditTypes);
  if (why !== undefined) return context.skip(why);
  const { stdout } = await command('export', 'cursor-hour', '--format', 'audit');
  const { code, out, err } = await piped(await auditTypes(), [], stdout);
  assert.equal(code, 0, err);
  const given = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const read = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(read.length, lines.filter(({ kind }) => kind === 'Event').length);
  // What these types write again is what was given: nothing was read as something else.
  for (const [index, event] of read.entries()) {
    for (const name of [
      'auditID',
      'stage',
      'verb',
      'requestURI',
      'user',
      'objectRef',
      'annotations',
      'requestReceivedTimestamp',
    ]) {
      assert.deepEqual(event[name], given[index]![name], name);
    }
  }
  const wrong = stdout.replace('"verb"', '"verbs"');
  assert.equal((await piped(await auditTypes(), [], wrong)).code, 1, 'the check can fail');
});

test('ocsf: valid by the published schema of API Activity', async (context) => {
  const why = await whyNot(readingPython);
  if (why !== undefined) return context.skip(why);
  const { stdout } = await command('export', 'cursor-hour', '--format', 'ocsf');
  const python = join(await readingPython(), 'python3');
  const script = join(import.meta.dirname, 'ocsf_check.py');
  const verbs = ['get', 'head', 'watch', 'update', 'patch', 'deletecollection', 'options', 'use'].map((verb) =>
    JSON.stringify(ocsfEvent(eventLine('ResponseComplete', { verb }), { version: '1.0.0' })),
  );
  const { code, out, err } = await piped(python, [script], `${stdout}${verbs.join('\n')}\n`);
  assert.equal(code, 0, err);
  assert.equal(Number(out), lines.filter(({ kind }) => kind === 'Event').length + verbs.length);
  assert.equal((await piped(python, [script], stdout.replace('"class_uid":6003', '"class_uid":"x"'))).code, 1);
});

test('asciicast: the real asciinema plays it', async (context) => {
  const why = await whyNot(readingPython);
  if (why !== undefined) return context.skip(why);
  const file = join(store.folder, 'hour.cast');
  const exported = await command('export', 'cursor-hour', '--format', 'asciicast', '--file', file, '--input');
  assert.equal(exported.code, 0, exported.stderr);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const asciinema = join(await readingPython(), 'asciinema');
  const env = { ...process.env, LC_ALL: 'C.UTF-8' };
  const { stdout } = await run(asciinema, ['cat', file], { env });
  assert.match(stdout, /\$ kubectl get pods -n shop/);
  assert.ok(stdout.includes('needle in a haystack'));
  assert.ok(!stdout.includes('\u001b]52'));
  // `play` needs a terminal; script(1) gives it one.
  const played = await run('script', ['-qec', `${asciinema} play -s 1000 -i 0.01 ${file}`, '/dev/null'], { env });
  assert.ok(played.stdout.includes('needle in a haystack'));
  const times = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => (JSON.parse(line) as [number])[0]);
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
    'time does not run backwards',
  );
});

test('asciicast v3: header, intervals that add up to the times of v2, resize, marker, exit', async () => {
  const parsed = async (format: string) =>
    (await command('export', 'cursor-hour', '--format', format, '--request', shellID.auditID)).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
  const [header, ...events] = await parsed('asciicast-v3');
  assert.deepEqual(header, {
    version: 3,
    term: { cols: 80, rows: 24, type: 'xterm-256color' },
    timestamp: Math.floor(Date.parse('2026-01-02T03:04:05.700Z') / 1_000),
    title: 'cursor-hour',
  });
  const [, ...older] = await parsed('asciicast');
  const all = events as [number, string, string][];
  assert.deepEqual(
    all.map(([, code]) => code),
    ['m', 'o', 'r', 'o', 'o', 'o', 'o', 'x'],
  );
  assert.deepEqual(all[2]!.slice(1), ['r', '120x40']);
  let sum = 0;
  for (const [index, [interval]] of all.slice(0, -1).entries()) {
    sum += interval;
    assert.ok(Math.abs(sum - (older as [number][])[index]![0]) < 0.001);
  }
});

test('asciicast v3: the real asciinema 3 plays it, and reads in it what it reads in v2', async (context) => {
  const why = await whyNot(asciinema3);
  if (why !== undefined) return context.skip(why);
  const asciinema = await asciinema3();
  const file = (name: string): string => join(store.folder, name);
  for (const [format, name] of [
    ['asciicast', 'v2.cast'],
    ['asciicast-v3', 'v3.cast'],
  ] as const) {
    const exported = await command('export', 'cursor-hour', '--format', format, '--file', file(name), '--input');
    assert.equal(exported.code, 0, exported.stderr);
    await run(asciinema, ['convert', '--overwrite', '-f', 'asciicast-v2', file(name), file(`${name}.again`)]);
  }
  const events = (name: string): [number, string, string][] =>
    readFileSync(file(name), 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => JSON.parse(line) as [number, string, string]);
  const [second, third] = [events('v2.cast.again'), events('v3.cast.again')];
  assert.ok(third.length > 20);
  assert.deepEqual(
    third.map(([, ...rest]) => rest),
    second.map(([, ...rest]) => rest),
  );
  // Intervals have a millisecond's precision each in what it writes.
  for (const [index, [time]] of third.entries()) assert.ok(Math.abs(time - second[index]![0]) < 0.05);
  const played = await run('script', ['-qec', `${asciinema} play -s 1000 -i 0.01 ${file('v3.cast')}`, '/dev/null'], {
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  });
  assert.ok(played.stdout.includes('needle in a haystack'));
});

test('wrong use, absent recordings and stores are said in a line', async () => {
  for (const [args, code, message] of [
    [['list', '--since', 'yesterday'], 2, /--since is a time/],
    [['show'], 2, /which recording/],
    [['show', 'nobody'], 1, /there is no recording nobody/],
    [['show', '../../etc'], 2, /is no name of a recording/],
    [['export', 'cursor-hour', '--format', 'gif'], 2, /--format is one of/],
    [['frobnicate'], 2, /say one of list/],
    [['constructor'], 2, /say one of list/],
    [['search'], 2, /search for what/],
  ] as const) {
    const result = await command(...args);
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, message);
    assert.equal(result.stdout, '');
  }
  const keys = await recordingCommand('s3://id:key@bucket/', ['list']);
  assert.match(keys.stderr, /holds no keys/);
  const odd = await recordingCommand('ftp://bucket/', ['list']);
  assert.equal(odd.code, 2);
  const none = await recordingCommand('', ['list']);
  assert.match(none.stderr, /which store/);
  writeFileSync(join(store.folder, 'note'), 'a stranger’s file in the store is no recording');
  assert.equal((await command('list')).code, 0);
});
