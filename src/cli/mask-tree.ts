import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { JsonMask } from '../masking/json-stream.ts';
import { type MaskPlan, replacer } from '../masking/mask-plan.ts';
import { TextMask } from '../masking/text-mask.ts';
import { usageError } from './command-io.ts';

/** Bytes that are given to an engine at once, as they would come from a connection. */
const CHUNK = 65_536;

export function maskJson(plan: MaskPlan, bytes: Buffer): Buffer {
  return through(new JsonMask(plan), bytes);
}

export function maskPlainText(plan: MaskPlan, bytes: Buffer, source: string): Buffer {
  return through(new TextMask(plan.recognizer, replacer(plan, source, 'text')), bytes);
}

function through(mask: { write(chunk: Buffer): Buffer; end(): Buffer }, bytes: Buffer): Buffer {
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK) out.push(mask.write(bytes.subarray(at, at + CHUNK)));
  out.push(mask.end());
  return Buffer.concat(out);
}

/** Frames of a stream, one a line: each channel has its own engine, and gives its frames as they come. */
function maskFrames(plan: MaskPlan, bytes: Buffer, source: string): Buffer {
  const channels = new Map<number, TextMask>();
  const lines: string[] = [];
  const put = (channel: number, data: Buffer): void => {
    if (data.length > 0) lines.push(JSON.stringify({ channel, base64: data.toString('base64') }));
  };
  for (const line of bytes.toString().split('\n')) {
    if (line.trim() === '') continue;
    const frame = JSON.parse(line) as { channel?: unknown; base64?: unknown };
    if (typeof frame.channel !== 'number' || typeof frame.base64 !== 'string')
      throw usageError(`${source}: no frame: channel and base64 are wanted`);
    let mask = channels.get(frame.channel);
    if (mask === undefined) {
      mask = new TextMask(plan.recognizer, replacer(plan, source, `channel-${frame.channel}`));
      channels.set(frame.channel, mask);
    }
    put(frame.channel, mask.write(Buffer.from(frame.base64, 'base64')));
  }
  for (const [channel, mask] of channels) put(channel, mask.end());
  return Buffer.from(`${lines.join('\n')}\n`);
}

/** Whether a `.jsonl` holds the frames of a stream, or the events of a watch. */
function isFrames(bytes: Buffer): boolean {
  const end = bytes.indexOf(0x0a);
  return /^\s*\{"channel"\s*:/.test(bytes.toString('latin1', 0, end === -1 ? bytes.length : Math.min(end, 64)));
}

/** One file by its form: `.json` an answer, `.jsonl` watch events or stream frames, anything else text. */
export function maskFile(plan: MaskPlan, name: string, bytes: Buffer): Buffer {
  const extension = extname(name);
  if (extension === '.jsonl' && isFrames(bytes)) return maskFrames(plan, bytes, name);
  if (extension === '.json' || extension === '.jsonl') return maskJson(plan, bytes);
  return maskPlainText(plan, bytes, name);
}

/** Masks every file under `from` into `to` under the same name. `labels.json` at the top is about them, and not one of them. */
export function maskTree(plan: MaskPlan, from: string, to: string): number {
  let count = 0;
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const name = relative(from, join(entry.parentPath, entry.name));
    if (name === 'labels.json') continue;
    const target = join(to, name);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, maskFile(plan, name, readFileSync(join(from, name))));
    count++;
  }
  return count;
}
