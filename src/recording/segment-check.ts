import { free } from '../heap.ts';
import { lineHash, splitLine } from './chain.ts';
import type { Findings } from './finding.ts';
import { FORMAT, type RecordingIdentity, type SegmentLine } from './line.ts';
import type { ManifestSegment } from './manifest.ts';
import { segmentName } from './segment.ts';
import { BrokenFrame, frames, MAX_FRAME, unpackFrame } from './zstd-frames.ts';

const NEWLINE = 0x0a;
const STAGE = '"stage":"';
const COMPLETE = Buffer.from(`${STAGE}ResponseComplete"`);
const BEFORE_STAGE = Buffer.from(STAGE);
/** A line's first bytes, in which its stage stands. */
const HEAD = 180;
const AUDIT_ID = '"auditID":"';

/**
 * Reads the lines of one segment after another and holds each against the one before. A fault is noted where it is found,
 * and the reading goes on from what the faulty line says of itself, so that one change gives one finding.
 */
export class SegmentCheck {
  /** Number and hash of the last line. */
  seq = 0;
  hash: string;
  /** Unpacked bytes of all segments. */
  bytes = 0;
  /** Lines of the current segment. */
  lines = 0;
  identity: RecordingIdentity | undefined;
  /** The last line says that nothing follows. */
  ended = false;
  /** Requests that were received and are not complete. */
  readonly open = new Set<string>();
  /** Where the stage stood in the last event, behind its number. */
  #stage = 0;
  readonly #recording: string;
  readonly #findings: Findings;
  #file = '';
  /** Offset of the current line among the segment's unpacked bytes. */
  #offset = 0;
  /** What came before could not be read: the next line's own word is taken for it. */
  #lost = false;

  /** @param start the hash before the first line */
  constructor(recording: string, start: string, findings: Findings) {
    this.#recording = recording;
    this.hash = start;
    this.#findings = findings;
  }

  /** Goes on behind a segment that is missing or faulty: the manifest says how it ended, or nobody does. */
  skipTo(segment: ManifestSegment | undefined): void {
    if (segment === undefined) {
      this.#lost = true;
      return;
    }
    this.#lost = false;
    this.seq = segment.lastSeq;
    this.hash = segment.hash;
  }

  async read(file: string, number: number, bytes: AsyncIterable<Buffer>): Promise<void> {
    this.#file = file;
    this.#offset = 0;
    this.lines = 0;
    const predecessor = { name: segmentName(number - 1), hash: this.hash };
    let rest: Buffer = Buffer.alloc(0);
    const take = (unpacked: Buffer): void => {
      this.bytes += unpacked.length;
      // What is left over is a copy: the memory of a frame is given back when its lines are read.
      rest = Buffer.from(
        this.#lines(rest.length === 0 ? unpacked : Buffer.concat([rest, unpacked]), number, predecessor),
      );
      if (rest.length <= MAX_FRAME) return;
      this.#note(`a line of more than ${MAX_FRAME} bytes`);
      rest = Buffer.alloc(0);
    };
    try {
      // One frame is unpacked in the thread pool while the one before is hashed here.
      let unpacking: { offset: number; lines: Promise<Buffer> } | undefined;
      for await (const { offset, frame } of frames(bytes)) {
        const next = { offset, lines: unpackFrame(frame, offset) };
        next.lines.catch(() => {});
        if (unpacking !== undefined) await this.#unpacked(unpacking.lines, take);
        unpacking = next;
      }
      if (unpacking !== undefined) await this.#unpacked(unpacking.lines, take);
    } catch (error) {
      if (!(error instanceof BrokenFrame)) throw error;
      this.#broken(error, take);
    }
    if (rest.length > 0) this.#note('the last line is cut: there is no newline behind it');
    if (this.lines === 0) this.#findings.add({ file, what: 'holds no whole line' });
  }

  async #unpacked(lines: Promise<Buffer>, take: (unpacked: Buffer) => void): Promise<void> {
    try {
      const unpacked = await lines;
      take(unpacked);
      free(unpacked);
    } catch (error) {
      if (!(error instanceof BrokenFrame)) throw error;
      this.#broken(error, take);
    }
  }

  #broken(error: BrokenFrame, take: (unpacked: Buffer) => void): void {
    const before = this.#findings.count;
    if (error.salvaged.length > 0) take(error.salvaged);
    // A line that came out changed says it more exactly.
    const line = this.#findings.count === before ? this.lines + 1 : undefined;
    const what = `the zstd frame is broken (${error.message})`;
    this.#findings.add({ file: this.#file, line, offset: error.offset, offsetIn: 'file', what });
    this.#lost = true;
  }

  /** @returns what is left behind the last newline */
  #lines(unpacked: Buffer, number: number, predecessor: { name: string; hash: string }): Buffer {
    let from = 0;
    for (;;) {
      const end = unpacked.indexOf(NEWLINE, from);
      if (end === -1) return unpacked.subarray(from);
      this.lines += 1;
      this.#line(unpacked.subarray(from, end), number, predecessor);
      this.#offset += end + 1 - from;
      from = end + 1;
    }
  }

  #line(line: Buffer, number: number, predecessor: { name: string; hash: string }): void {
    const split = splitLine(line);
    if (split === undefined) {
      this.#note('is no line of a recording: it does not begin with its number or end with its hash');
      this.#lost = true;
      return;
    }
    const { seq, behindSeq, hash } = split;
    // Behind a frame that gave nothing the first line that is seen is not the first.
    if (this.lines === 1 && !this.#lost) this.#head(line, number, predecessor);
    if (this.#lost) {
      this.#lost = false;
    } else if (seq !== this.seq + 1) {
      this.#note(`has number ${seq} where ${this.seq + 1} follows: ${misplaced(seq, this.seq)}`);
    } else if (lineHash(this.hash, line) !== hash) {
      this.#note('its hash does not hold: this line was changed, or the one before it');
    }
    this.seq = seq;
    this.hash = hash;
    // `,"kind":"Event"`: of all kinds only this one begins with Ev, and only `End` with En.
    const second = line[behindSeq + 9] === 0x45 ? line[behindSeq + 10] : undefined;
    this.ended = second === 0x6e;
    if (second === 0x76) this.#track(line, behindSeq);
  }

  #note(what: string): void {
    const line = Math.max(1, this.lines);
    this.#findings.add({ file: this.#file, line, offset: this.#offset, offsetIn: 'unpacked', what });
  }

  /** The first line says where the segment belongs. */
  #head(line: Buffer, number: number, predecessor: { name: string; hash: string }): void {
    let head: Partial<SegmentLine>;
    try {
      head = JSON.parse(line.toString('utf8')) as Partial<SegmentLine>;
    } catch {
      this.#note('is no JSON');
      return;
    }
    if (head.kind !== 'Segment' || head.format !== FORMAT) {
      this.#note(`the first line is not that of a segment of the format ${FORMAT}`);
      return;
    }
    const name = head.recording?.name;
    if (name !== this.#recording)
      this.#note(`belongs to another recording, ${JSON.stringify(String(name).slice(0, 200))}`);
    if (head.segment !== number) this.#note(`says that it is segment ${Number(head.segment)}`);
    const expected = number === 1 ? undefined : predecessor.name;
    if (head.predecessor?.name !== expected) this.#note('names another segment as its predecessor');
    else if (number > 1 && !this.#lost && head.predecessor?.hash !== predecessor.hash) {
      this.#note('names another hash as that of its predecessor');
    }
    this.identity ??= head.recording;
  }

  /** Which requests are under way, from the bytes alone: reading the JSON of every line would cost ten times the hash. */
  #track(line: Buffer, behindSeq: number): void {
    // Nothing is open that could end: so it is where reads follow each other.
    if (this.open.size === 0 && this.#isComplete(line, behindSeq)) return;
    const head = line.toString('latin1', 0, HEAD);
    const id = member(head, AUDIT_ID);
    const stage = member(head, STAGE);
    if (id === undefined || stage === undefined) return;
    if (stage === 'ResponseComplete') this.open.delete(id);
    else this.open.add(id);
  }

  /** Looks first where it stood last time: a search for every line would cost a third of its hash. */
  #isComplete(line: Buffer, behindSeq: number): boolean {
    if (standsAt(line, behindSeq + this.#stage, COMPLETE)) return true;
    const at = line.indexOf(BEFORE_STAGE);
    this.#stage = at - behindSeq;
    return at !== -1 && standsAt(line, at, COMPLETE);
  }
}

/** In a line's head: what an agent says stands behind it. */
function standsAt(line: Buffer, at: number, what: Buffer): boolean {
  if (at < 0 || at + what.length > Math.min(HEAD, line.length)) return false;
  for (let i = 0; i < what.length; i += 1) if (line[at + i] !== what[i]) return false;
  return true;
}

function misplaced(seq: number, last: number): string {
  if (seq > last + 1) return `${seq - last - 1} lines before it are missing`;
  return 'it was repeated, moved or put there';
}

/** Members before `requestURI` are Sallyport's own words: no quote can be escaped in them. */
function member(head: string, name: string): string | undefined {
  const at = head.indexOf(name);
  if (at === -1) return undefined;
  const from = at + name.length;
  return head.slice(from, head.indexOf('"', from));
}
