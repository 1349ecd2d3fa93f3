import { escapeLine } from '../../errors.ts';
import { decodeData, type EventLine, type FrameLine, type Line } from '../line.ts';
import { typedForm } from './request-form.ts';
import { TerminalFilter } from './terminal-filter.ts';

export interface AsciicastOptions {
  readonly version: 2 | 3;
  /** One request's stream alone, by its audit id. */
  readonly request?: string | undefined;
  /** Terminal output as it was, not through the list of harmless sequences. */
  readonly raw?: boolean;
  /** Keystrokes as "i" events too. */
  readonly input?: boolean;
  /** Seconds that a silence lasts at most; players have an option of their own. */
  readonly idleTimeLimit?: number | undefined;
}

const SIZE = { cols: 80, rows: 24 };
/** Larger than any terminal; what says so is not one. */
const LARGEST = 1_000;

interface Stream {
  /** Milliseconds since the recording's first event, where the request began. */
  readonly began: number;
  readonly tty: boolean;
  readonly filters: Map<string, TerminalFilter>;
}

/**
 * A recording as asciicast, for asciinema and its players: the terminal output of exec and attach at its own time, and for every
 * other request the command that it was, as a line of output and a marker to jump to.
 * @param lines in their order
 * @returns lines of the file
 */
export async function* asciicast(
  title: string,
  lines: AsyncIterable<Line>,
  options: AsciicastOptions,
): AsyncGenerator<string> {
  const streams = new Map<string, Stream>();
  let start: number | undefined;
  let last = 0;
  const at = (elapsed: number): number => {
    // Lines are in the order in which they were kept; a clock that jumped must not make time run backwards.
    const now = Math.max(elapsed, last);
    const value = options.version === 3 ? now - last : now;
    last = now;
    return Math.round(value * 1_000) / 1_000_000;
  };
  const event = (elapsed: number, code: string, data: string): string => JSON.stringify([at(elapsed), code, data]);
  for await (const line of lines) {
    if (line.kind !== 'Event' && line.kind !== 'Frame') continue;
    if (options.request !== undefined && line.auditID !== options.request) continue;
    if (line.kind === 'Event') {
      const received = Date.parse(line.requestReceivedTimestamp);
      if (start === undefined) {
        start = received;
        yield header(title, start, options);
      }
      const began = Math.max(received - start, last);
      if (!streams.has(line.auditID)) {
        const command = escapeLine(typedForm(line));
        streams.set(line.auditID, { began, tty: line.exec?.tty ?? false, filters: new Map() });
        yield event(began, 'm', command);
        yield event(began, 'o', `\u001b[0m\u001b[1m$ ${command}\u001b[0m\r\n`);
      }
      if (line.stage !== 'ResponseComplete') continue;
      const stream = streams.get(line.auditID)!;
      let rest = '';
      for (const filter of stream.filters.values()) rest += filter.end();
      const ended = began + (line.durations?.total ?? 0);
      yield event(ended, 'o', `${rest}\u001b[0m${lineEnd(stream)}\u001b[2m${ending(line)}\u001b[0m\r\n`);
      streams.delete(line.auditID);
      if (options.request !== undefined && options.version === 3) yield event(ended, 'x', exitOf(line));
      continue;
    }
    const stream = streams.get(line.auditID);
    if (stream === undefined) continue;
    const shown = frameEvent(line, stream, options);
    if (shown !== undefined) yield event(stream.began + line.elapsed, shown.code, shown.data);
  }
  if (start === undefined) yield header(title, 0, options);
}

function header(title: string, start: number, { version, idleTimeLimit }: AsciicastOptions): string {
  const common = {
    timestamp: Math.floor(start / 1_000),
    title: escapeLine(title),
    ...(idleTimeLimit === undefined ? {} : { idle_time_limit: idleTimeLimit }),
  };
  if (version === 3) return JSON.stringify({ version, term: { ...SIZE, type: 'xterm-256color' }, ...common });
  return JSON.stringify({ version, width: SIZE.cols, height: SIZE.rows, ...common, env: { TERM: 'xterm-256color' } });
}

function frameEvent(
  frame: FrameLine,
  stream: Stream,
  { raw = false, input = false }: AsciicastOptions,
): { code: string; data: string } | undefined {
  const bytes = decodeData(frame);
  switch (frame.channel) {
    case 'resize':
      return resize(bytes);
    case 'stdin':
      return input ? { code: 'i', data: bytes.toString('utf8') } : undefined;
    case 'stdout':
    case 'stderr':
    case 'log':
    case 'watch':
    case 'body': {
      let data: string;
      if (raw) data = bytes.toString('utf8');
      else {
        let filter = stream.filters.get(frame.channel);
        if (filter === undefined) stream.filters.set(frame.channel, (filter = new TerminalFilter()));
        data = filter.write(bytes);
      }
      // Without a TTY nobody has put a carriage return before the line feed.
      if (!stream.tty) data = data.replaceAll(/\r?\n/g, '\r\n');
      return data === '' ? undefined : { code: 'o', data };
    }
    default:
      return undefined;
  }
}

function resize(bytes: Buffer): { code: string; data: string } | undefined {
  try {
    const { Width, Height } = JSON.parse(bytes.toString('utf8')) as { Width?: unknown; Height?: unknown };
    const sound = [Width, Height].every(
      (value) => Number.isInteger(value) && Number(value) > 0 && Number(value) <= LARGEST,
    );
    return sound ? { code: 'r', data: `${Width}x${Height}` } : undefined;
  } catch {
    return undefined;
  }
}

function lineEnd({ tty }: Stream): string {
  return tty ? '\r\n' : '';
}

/** What became of a request, in a few words. */
export function ending({ outcome, responseStatus, error, decision }: EventLine): string {
  const words: string[] = [];
  if (responseStatus !== undefined) words.push(String(responseStatus.code));
  if (outcome !== undefined && outcome !== 'Complete') words.push(outcome);
  if (error !== undefined) words.push(error.code);
  if (decision?.action === 'Deny') words.push(`denied by ${decision.policy ?? ''}/${decision.rule ?? ''}`);
  return escapeLine(`(${words.join(', ') || 'no outcome'})`);
}

function exitOf({ outcome, responseStatus }: EventLine): string {
  return outcome === 'Complete' && (responseStatus?.code ?? 500) < 400 ? '0' : '1';
}
