import { createHash } from 'node:crypto';
import { Chain, startOf } from '../chain.ts';
import { type EventLine, FORMAT, type Line, type RecordingIdentity } from '../line.ts';
import { type Manifest, type ManifestSegment, sealManifest } from '../manifest.ts';
import { segmentName } from '../segment.ts';
import type { SigningKey } from '../signing-key.ts';
import type { RecordingFiles } from '../verify.ts';
import { packFrame } from '../zstd-frames.ts';

export const SAMPLE_IDENTITY: RecordingIdentity = {
  name: 'cursor-1a2b3c-x7k2p',
  replica: 'sallyport-0',
  user: { username: 'alice@shop.example', uid: 'u-1' },
  caller: {
    method: 'AgentSession',
    issuer: 'https://id.shop.example',
    agent: 'cursor',
    onBehalfOf: 'alice@shop.example',
  },
  startTime: '2026-01-02T03:04:05.678Z',
};

/** A recording in memory, as the gateway writes one. */
export interface SampleRecording {
  readonly files: Map<string, Buffer>;
  readonly manifest: Manifest;
}

export interface SampleOptions {
  readonly segments?: number;
  /** Requests of each segment: each leaves RequestReceived, two frames and ResponseComplete. */
  readonly requests?: number;
  readonly linesInFrame?: number;
  readonly state?: Manifest['state'];
  readonly identity?: RecordingIdentity;
  /** What its replica sealed before. */
  readonly predecessor?: Manifest['predecessor'];
}

export async function sampleRecording(key: SigningKey, options: SampleOptions = {}): Promise<SampleRecording> {
  const { segments = 3, requests = 4, linesInFrame = 5, state = 'Complete', identity = SAMPLE_IDENTITY } = options;
  const chain = new Chain(0, startOf(identity.name));
  const files = new Map<string, Buffer>();
  const listed: ManifestSegment[] = [];
  for (let number = 1; number <= segments; number += 1) {
    const predecessor = number === 1 ? undefined : { name: segmentName(number - 1), hash: chain.head };
    const time = '2026-01-02T03:04:06.000Z';
    const counts = { requests: (number - 1) * requests, denied: 0, masked: 0, dropped: 0 };
    const lines: Line[] = [
      { kind: 'Segment', format: FORMAT, recording: identity, segment: number, predecessor, open: [], counts, time },
    ];
    for (let request = 0; request < requests; request += 1) lines.push(...sampleRequest(number * 1000 + request));
    if (number === segments) lines.push({ kind: 'End', time, reason: 'Idle' });
    const firstSeq = chain.seq + 1;
    const frames: Buffer[] = [];
    let rawBytes = 0;
    for (let at = 0; at < lines.length; at += linesInFrame) {
      const raw = chain.extend(lines.slice(at, at + linesInFrame));
      rawBytes += raw.length;
      frames.push(await packFrame(raw, 3));
    }
    const file = Buffer.concat(frames);
    const name = segmentName(number);
    files.set(name, file);
    const sha256 = createHash('sha256').update(file).digest('hex');
    listed.push({ name, firstSeq, lastSeq: chain.seq, hash: chain.head, bytes: file.length, sha256, rawBytes });
  }
  const manifest: Manifest = {
    format: FORMAT,
    recording: identity,
    state,
    reason: 'Idle',
    endTime: '2026-01-02T04:04:05.678Z',
    lines: chain.seq,
    hash: chain.head,
    counts: { requests: segments * requests, denied: 0, masked: 0, dropped: 0 },
    segments: listed,
    sealedBy: identity.replica,
    predecessor: options.predecessor,
  };
  files.set('manifest.json', sealManifest(manifest, key));
  return { files, manifest };
}

function sampleRequest(number: number): Line[] {
  const auditID = `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
  const event = (stage: EventLine['stage'], more: Partial<EventLine>): EventLine => ({
    kind: 'Event',
    level: 'RequestResponse',
    auditID,
    stage,
    requestReceivedTimestamp: '2026-01-02T03:04:05.700Z',
    stageTimestamp: '2026-01-02T03:04:05.800Z',
    requestURI: '/api/v1/namespaces/shop/pods/web-0/exec?command=sh&command=-c&command=echo+"\u001b[31mä\u2028',
    verb: 'create',
    user: { username: 'alice@shop.example', groups: ['developers', 'ai-agents'] },
    caller: SAMPLE_IDENTITY.caller,
    sourceIPs: ['192.0.2.7'],
    objectRef: { resource: 'pods', subresource: 'exec', namespace: 'shop', name: 'web-0', apiVersion: 'v1' },
    ...more,
  });
  const time = '2026-01-02T03:04:05.750Z';
  return [
    event('RequestReceived', {}),
    {
      kind: 'Frame',
      auditID,
      time,
      elapsed: 12.5,
      channel: 'stdout',
      data: `line ${number}\r\n","stage":"ResponseComplete`,
    },
    { kind: 'Frame', auditID, time, elapsed: 13, channel: 'stdout', encoding: 'base64', data: '/wD+' },
    event('ResponseComplete', { responseStatus: { code: 101 }, outcome: 'Complete' }),
  ];
}

/** Files in memory as the verifier reads them, in small pieces. */
export function inMemory(name: string, files: ReadonlyMap<string, Buffer>, piece = 100): RecordingFiles {
  return {
    name,
    list: async () => [...files.keys()],
    read: (file) => bytesIn(files.get(file)!, piece),
  };
}

/** Bytes in small pieces, as a file or a socket gives them. */
export async function* bytesIn(bytes: Buffer, piece = 100): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
}
