import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { recording } from '../../src/config/recording.ts';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { layout } from '../../src/recording/segment.ts';
import { anHour, recordingCommand, storeInFolder, writeRecordings } from '../recording/made-recording.ts';

const PAGES = ['recording-storage.md', 'recording-readers.md', 'siem.md'];
const store = storeInFolder();
before(async () => {
  const lines = anHour();
  const password = JSON.parse(
    JSON.stringify(lines).replaceAll('haystack', 'password haystack').replaceAll('stack\\r', 'password\\r'),
  ) as typeof lines;
  await writeRecordings(store.storage, [{ identity: { ...SAMPLE_IDENTITY, name: 'cursor-hour' }, lines: password }]);
});
after(() => store.remove());

const blocks = (page: string, language: string): string[] =>
  [...readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8').matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)]
    .filter(([, found]) => found === language)
    .map(([, , text]) => text!);

for (const page of PAGES) {
  for (const [index, text] of blocks(page, 'yaml')
    .filter((each) => each.startsWith('recording:'))
    .entries()) {
    test(`docs/${page}: the configuration ${index + 1} is sound`, () => {
      const parsed = recording.safeParse((parse(text) as { recording: unknown }).recording);
      assert.ok(parsed.success, JSON.stringify(parsed.error?.issues));
    });
  }
}

/** Commands that need another cluster or a gateway are run by test/recording/rerun.test.ts and through-gateway.test.ts. */
const commands = blocks('recording-readers.md', '')
  .flatMap((text) => text.split('\n'))
  .filter((line) => line.startsWith('sallyport recording ') && !/ rerun | --gateway /.test(line));

test('there are commands to try', () => {
  assert.ok(commands.length >= 14);
});

for (const line of commands) {
  test(`docs: ${line}`, async () => {
    const args = line
      .replace('sallyport recording ', '')
      .replace('NAME', 'cursor-hour')
      .replace('session.cast', join(store.folder, 'session.cast'))
      .split(' ')
      .concat(line.includes(' replay ') && !line.includes('--speed') ? ['--speed', '1000'] : []);
    const { code, stdout, stderr } = await recordingCommand(store.folder, args);
    // Recorded long ago: "since" finds nothing, and says so.
    const nothing = line.includes('--since') || line.includes('--argv');
    assert.ok(code === 0 || (nothing && /nothing was found/.test(stderr)), stderr + stdout);
  });
}

test('retention in a bucket: rules that AWS takes, for what a store holds', () => {
  const [text] = blocks('recording-storage.md', 'json');
  const { Rules } = JSON.parse(text!) as { Rules: { ID: string; Status: string; Filter: { Prefix: string } }[] };
  assert.deepEqual(
    Rules.map(({ Filter }) => Filter.Prefix),
    [layout.recordings, layout.announcements],
  );
  assert.ok(Rules.every(({ ID, Status }) => ID.length <= 255 && Status === 'Enabled'));
});

test('retention in a folder: what is old goes, sealed or not, and nothing else', () => {
  const [command] = blocks('recording-storage.md', '').filter((text) => text.startsWith('find '));
  const root = join(store.folder, 'kept');
  const old = new Date(Date.now() - 400 * 86_400_000);
  for (const name of ['old', 'new']) {
    mkdirSync(join(root, 'recordings', name), { recursive: true });
    writeFileSync(join(root, 'recordings', name, 'manifest.json'), '', { mode: 0o440 });
    if (name === 'old') utimesSync(join(root, 'recordings', name), old, old);
  }
  execFileSync('sh', ['-c', command!.replace('/var/lib/sallyport/recordings', root)]);
  assert.deepEqual(readdirSync(join(root, 'recordings')), ['new']);
});

test('rerun: its options are those of the page', async () => {
  for (const line of blocks('recording-readers.md', '')
    .join('\n')
    .split('\n')
    .filter((each) => each.includes(' rerun '))) {
    const values = join(store.folder, 'values.yaml');
    writeFileSync(values, '{}');
    const args = line
      .replace('sallyport recording ', '')
      .replace('NAME', 'cursor-hour')
      .replace('values.yaml', values)
      .replace('test.kubeconfig', join(store.folder, 'absent.kubeconfig'))
      .split(' ');
    const { stderr } = await recordingCommand(store.folder, args);
    assert.match(stderr, /--kubeconfig: .*absent\.kubeconfig/);
    rmSync(values);
  }
});
