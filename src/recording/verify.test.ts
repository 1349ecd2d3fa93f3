import assert from 'node:assert/strict';
import { createHash, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesIn, inMemory, SAMPLE_IDENTITY, type SampleRecording, sampleRecording } from './cases/sample-recording.ts';
import { Chain, lineHash, splitLine, startOf } from './chain.ts';
import { describeFinding, type VerifyReport } from './finding.ts';
import type { Line } from './line.ts';
import { openManifest, sealManifest } from './manifest.ts';
import { newSigningKey, publicPEM, readPublicKeys, readSigningKey } from './signing-key.ts';
import { verifyRecording } from './verify.ts';
import { packFrame, unpackSegment } from './zstd-frames.ts';

const key = readSigningKey(newSigningKey());
const other = readSigningKey(newSigningKey());
const keys = readPublicKeys(publicPEM(key));
const NAME = SAMPLE_IDENTITY.name;

const keyOf = (id: string): KeyObject | undefined => keys.get(id);
const verify = (files: ReadonlyMap<string, Buffer>): Promise<VerifyReport> =>
  verifyRecording(inMemory(NAME, files), keyOf);

async function unpacked(file: Buffer): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of unpackSegment(bytesIn(file))) pieces.push(piece);
  return Buffer.concat(pieces);
}

const linesOf = async (file: Buffer): Promise<string[]> =>
  (await unpacked(file)).toString('utf8').split('\n').slice(0, -1);
const pack = (lines: readonly string[]): Promise<Buffer> =>
  packFrame(Buffer.from(lines.map((line) => `${line}\n`).join('')), 3);

/** What whoever knows the format, and has no key, would write after a change. */
function rehash(lines: readonly string[], before: string, firstSeq: number): string[] {
  return lines.map((line, index) => {
    const body = `{"seq":${firstSeq + index},${line.slice(line.indexOf(',') + 1, line.lastIndexOf(',"hash":"'))}`;
    before = lineHash(before, Buffer.from(`${body},"hash":"${before}"}`));
    return `${body},"hash":"${before}"}`;
  });
}

/** A recording with the lines of one segment changed. */
async function withLines(
  sample: SampleRecording,
  segment: string,
  change: (lines: string[]) => string[],
): Promise<Map<string, Buffer>> {
  return new Map([...sample.files, [segment, await pack(change(await linesOf(sample.files.get(segment)!)))]]);
}

test('a recording as it was written is sound', async () => {
  const { files, manifest } = await sampleRecording(key);
  const report = await verify(files);
  assert.deepEqual(report.findings, []);
  assert.equal(report.sound, true);
  assert.equal(report.state, 'Complete');
  assert.equal(report.lines, manifest.lines);
  assert.equal(report.hash, manifest.hash);
  assert.equal(report.keyID, key.id);
  assert.equal(report.unknownOutcomes, 0);
});

test('lines that are cut by the ends of frames are read as they are', async () => {
  const { files } = await sampleRecording(key, { segments: 1, requests: 200 });
  const [name] = files.keys();
  const lines = await unpacked(files.get(name!)!);
  const frames: Buffer[] = [];
  // Large enough that each has memory of its own, which is given back when it has been read.
  for (let at = 0; at < lines.length; at += 70_001) frames.push(await packFrame(lines.subarray(at, at + 70_001), 3));
  assert.ok(frames.length > 3);
  const report = await verify(new Map([...files, [name!, Buffer.concat(frames)]]));
  const whats = report.findings.map(({ what }) => what);
  assert.equal(whats.length, 1);
  assert.match(whats[0]!, /not the one that the manifest names .*though its lines are/);
});

test('a line is what a newline ends: whatever is in it, it stays one, and its hash is over its very bytes', () => {
  const chain = new Chain(0, startOf('a'));
  const data = 'x\n\r\u2028\u0000\ud800ä"\\';
  const line: Line = { kind: 'Frame', auditID: 'i', time: 't', elapsed: 1, channel: 'stdout', data };
  const bytes = chain.extend([line, line]);
  const [first, second, rest] = bytes.toString('utf8').split('\n');
  assert.equal(rest, '');
  const one = splitLine(Buffer.from(first!))!;
  const two = splitLine(Buffer.from(second!))!;
  assert.equal(one.seq, 1);
  assert.equal(one.hash, lineHash(startOf('a'), Buffer.from(first!)));
  assert.equal(two.hash, lineHash(one.hash, Buffer.from(second!)));
  assert.equal(two.hash, chain.head);
  assert.notEqual(one.hash, two.hash);
  assert.equal((JSON.parse(first!) as { data: string }).data, data);
  // The page's own words, once more.
  const page = createHash('sha256')
    .update(`sallyport.dev/recording/line/v1\n${startOf('a')}\n`)
    .update(first!.slice(0, first!.indexOf(',"hash":')));
  assert.equal(one.hash, page.digest('hex'));
});

const S2 = '000002.jsonl.zst';

interface Tampering {
  readonly name: string;
  readonly with: (sample: SampleRecording) => Promise<ReadonlyMap<string, Buffer>>;
  /** Where the first finding must be. */
  readonly file: string;
  readonly line?: number;
  readonly what: RegExp;
}

const TAMPERINGS: readonly Tampering[] = [
  {
    name: 'a changed line',
    with: (sample) => withLines(sample, S2, (lines) => lines.with(6, lines[6]!.replace('stdout', 'stderr'))),
    file: S2,
    line: 7,
    what: /its hash does not hold/,
  },
  {
    name: 'a changed line with its hash made anew',
    with: (sample) =>
      withLines(sample, S2, (lines) => {
        const { hash } = splitLine(Buffer.from(lines[5]!))!;
        return lines.with(
          6,
          rehash([lines[6]!.replace('stdout', 'stderr')], hash, splitLine(Buffer.from(lines[6]!))!.seq)[0]!,
        );
      }),
    file: S2,
    line: 8,
    what: /this line was changed, or the one before it/,
  },
  {
    name: 'a changed line with all that follows in its segment made anew',
    with: (sample) =>
      withLines(sample, S2, (lines) => {
        const { hash } = splitLine(Buffer.from(lines[5]!))!;
        const changed = lines.slice(6).map((line) => line.replace('stdout', 'stderr'));
        return [...lines.slice(0, 6), ...rehash(changed, hash, splitLine(Buffer.from(lines[6]!))!.seq)];
      }),
    file: S2,
    line: 17,
    what: /the manifest says/,
  },
  {
    name: 'a removed line',
    with: (sample) => withLines(sample, S2, (lines) => lines.toSpliced(6, 1)),
    file: S2,
    line: 7,
    what: /1 lines before it are missing/,
  },
  {
    name: 'two lines that changed places',
    with: (sample) => withLines(sample, S2, (lines) => lines.with(6, lines[7]!).with(7, lines[6]!)),
    file: S2,
    line: 7,
    what: /lines before it are missing/,
  },
  {
    name: 'a line that is there twice',
    with: (sample) => withLines(sample, S2, (lines) => lines.toSpliced(6, 0, lines[5]!)),
    file: S2,
    line: 7,
    what: /repeated/,
  },
  {
    name: 'an inserted line',
    with: (sample) => withLines(sample, S2, (lines) => lines.toSpliced(6, 0, '{"kind":"Event"}')),
    file: S2,
    line: 7,
    what: /is no line of a recording/,
  },
  {
    name: 'lines cut off a segment’s end',
    with: (sample) => withLines(sample, S2, (lines) => lines.slice(0, -2)),
    file: S2,
    line: 15,
    what: /the manifest says/,
  },
  {
    name: 'lines cut off the recording’s end',
    with: (sample) => withLines(sample, '000003.jsonl.zst', (lines) => lines.slice(0, -1)),
    file: '000003.jsonl.zst',
    line: 17,
    what: /the manifest says/,
  },
  {
    name: 'a newline cut off',
    with: async (sample) => {
      const lines = (await unpacked(sample.files.get(S2)!)).subarray(0, -1);
      return new Map([...sample.files, [S2, await packFrame(lines, 3)]]);
    },
    file: S2,
    what: /the last line is cut/,
  },
  {
    name: 'a file cut within its last frame',
    with: async (sample) => new Map([...sample.files, [S2, sample.files.get(S2)!.subarray(0, -7)]]),
    file: S2,
    what: /the last frame is cut/,
  },
  {
    name: 'bytes behind the last frame',
    with: async (sample) =>
      new Map([...sample.files, [S2, Buffer.concat([sample.files.get(S2)!, Buffer.from('more')])]]),
    file: S2,
    what: /no zstd frame begins here/,
  },
  {
    name: 'another packing of the same lines',
    with: (sample) => withLines(sample, S2, (lines) => lines),
    file: S2,
    what: /not the one that the manifest names/,
  },
  {
    name: 'an empty segment',
    with: async (sample) => new Map([...sample.files, [S2, Buffer.alloc(0)]]),
    file: S2,
    what: /holds no whole line/,
  },
  {
    name: 'a removed segment',
    with: async ({ files }) => new Map([...files].filter(([name]) => name !== S2)),
    file: S2,
    what: /is missing/,
  },
  {
    name: 'the last segment removed',
    with: async ({ files }) => new Map([...files].filter(([name]) => name !== '000003.jsonl.zst')),
    file: '000003.jsonl.zst',
    what: /is missing/,
  },
  {
    name: 'all segments removed',
    with: async ({ files }) => new Map([...files].filter(([name]) => name === 'manifest.json')),
    file: '000001.jsonl.zst',
    what: /is missing \(and all up to 000003/,
  },
  {
    name: 'segments that changed places',
    with: async ({ files }) =>
      new Map([...files, [S2, files.get('000003.jsonl.zst')!], ['000003.jsonl.zst', files.get(S2)!]]),
    file: S2,
    line: 1,
    what: /says that it is segment 3/,
  },
  {
    name: 'a segment added',
    with: async ({ files }) => new Map([...files, ['000004.jsonl.zst', files.get('000003.jsonl.zst')!]]),
    file: '000004.jsonl.zst',
    what: /is not in the manifest/,
  },
  {
    name: 'a file that does not belong',
    with: async ({ files }) => new Map([...files, ['000001.jsonl.zst.bak', files.get(S2)!]]),
    file: '000001.jsonl.zst.bak',
    what: /does not belong/,
  },
  {
    name: 'a segment of another recording',
    with: async ({ files }) => {
      const foreign = await sampleRecording(key, { identity: { ...SAMPLE_IDENTITY, name: 'another' } });
      return new Map([...files, [S2, foreign.files.get(S2)!]]);
    },
    file: S2,
    line: 1,
    what: /belongs to another recording/,
  },
  {
    name: 'the manifest of another recording',
    with: async ({ files }) => {
      const foreign = await sampleRecording(key, { identity: { ...SAMPLE_IDENTITY, name: 'another' } });
      return new Map([...files, ['manifest.json', foreign.files.get('manifest.json')!]]);
    },
    file: 'manifest.json',
    what: /another recording/,
  },
  {
    name: 'a whole recording made anew with a key of one’s own',
    with: async () => (await sampleRecording(other)).files,
    file: 'manifest.json',
    what: /not among the keys given/,
  },
  {
    name: 'a manifest whose key id was borrowed',
    with: async ({ files, manifest }) =>
      new Map([...files, ['manifest.json', sealManifest(manifest, { ...other, id: key.id })]]),
    file: 'manifest.json',
    what: /signature by key .* does not hold/,
  },
];

for (const { name, with: tamper, file, line, what } of TAMPERINGS) {
  test(`found, with its place: ${name}`, async () => {
    const report = await verify(await tamper(await sampleRecording(key)));
    assert.equal(report.sound, false);
    const [first] = report.findings;
    assert.equal(first?.file, file, JSON.stringify(report.findings));
    if (line !== undefined) assert.equal(first?.line, line, describeFinding(first!));
    assert.match(first!.what, what);
  });
}

test('a flipped byte is traced to its line, whatever frame it is in', async () => {
  const { files } = await sampleRecording(key, { segments: 1, requests: 40, linesInFrame: 20 });
  const bytes = files.get('000001.jsonl.zst')!;
  let exact = 0;
  let tried = 0;
  for (let at = 30; at < bytes.length; at += 37) {
    const report = await verify(new Map([...files, ['000001.jsonl.zst', Buffer.from(bytes.with(at, bytes[at]! ^ 4))]]));
    assert.equal(report.sound, false);
    tried += 1;
    if (report.findings[0]?.line !== undefined) exact += 1;
    for (const { what } of report.findings) assert.doesNotMatch(what, /the first line is not that of a segment/);
  }
  assert.ok(exact > tried / 2, `${exact} of ${tried}`);
});

test('a recording without manifest is open: sound as far as it goes, and its unfinished requests are counted', async () => {
  const { files } = await sampleRecording(key);
  const lines = await linesOf(files.get(S2)!);
  const cut = new Map([
    ['000001.jsonl.zst', files.get('000001.jsonl.zst')!],
    [S2, await pack(lines.slice(0, -1))],
  ]);
  const report = await verify(cut);
  assert.equal(report.sound, true);
  assert.equal(report.state, 'Open');
  assert.equal(report.unknownOutcomes, 1);
});

test('any byte of any file changed, cut or put in is found', async () => {
  const { files } = await sampleRecording(key, { segments: 2, requests: 2, linesInFrame: 3 });
  const places = [...files].flatMap(([name, bytes]) => Array.from(bytes, (_, at) => ({ name, at })));
  const change = fc.constantFrom('flip', 'cut', 'insert', 'truncate');
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...places),
      fc.integer({ min: 1, max: 255 }),
      change,
      async ({ name, at }, bits, how) => {
        const bytes = files.get(name)!;
        const changed =
          how === 'flip'
            ? Buffer.from(bytes.with(at, bytes[at]! ^ bits))
            : how === 'cut'
              ? Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)])
              : how === 'insert'
                ? Buffer.concat([bytes.subarray(0, at), Buffer.from([bits]), bytes.subarray(at)])
                : bytes.subarray(0, at);
        const report = await verify(new Map([...files, [name, changed]]));
        assert.equal(report.sound, false, `${name} ${at} ${how}`);
        assert.equal(report.findings[0]?.file, name);
      },
    ),
    { numRuns: 600 },
  );
});

test('a manifest opens with a key that is known, and only so', () => {
  assert.throws(() => openManifest(Buffer.from('{}'), keyOf), /no DSSE envelope/);
  assert.throws(() => openManifest(Buffer.from('\u0000'), keyOf), /no JSON/);
});

test('a forger fills no memory: findings are bounded, and counted', async () => {
  const { files } = await sampleRecording(key);
  const junk = await pack(Array.from({ length: 5_000 }, () => '{"junk":true}'));
  const report = await verify(new Map([...files, [S2, junk]]));
  assert.ok(report.findings.length <= 100);
  assert.ok(report.findingCount >= 5_000);
});
