/** Bytes of an answer's head at most, and of all trailers. */
const MOST_HEAD = 128 * 1024;
/** Bytes of the line before a chunk: its size, and extensions that nobody uses. */
const MOST_SIZE_LINE = 4 * 1024;
/** Answers of 1xx before the one that counts. */
const MOST_INTERIM = 16;

/** What an answer is told to, in order. A chunk is the reader's: it is valid until the call returns. */
export interface AnswerEvents {
  /** @param headers flat (name, value, …), as sent */
  head(status: number, headers: string[]): void;
  data(chunk: Buffer): void;
  end(): void;
}

type State = 'head' | 'length' | 'size' | 'chunk' | 'chunk-end' | 'trailers' | 'until-closed' | 'done';

/**
 * Reads one answer of HTTP/1.1 (RFC 9112) as it comes, however the bytes are cut. Strict: what could be read in two ways is
 * no answer, since whoever read it the other way would take the rest for the next one.
 */
export class AnswerReader {
  readonly #events: AnswerEvents;
  readonly #bodiless: boolean;
  #state: State = 'head';
  #held: Buffer | undefined;
  #left = 0;
  #line = '';
  #trailerBytes = 0;
  #interim = 0;
  #keepAlive = false;
  #surplus = false;

  /** @param method of the request: an answer to HEAD has no body */
  constructor(method: string, events: AnswerEvents) {
    this.#bodiless = method === 'HEAD';
    this.#events = events;
  }

  /** The answer is whole, and the connection may carry another. */
  get reusable(): boolean {
    return this.#state === 'done' && this.#keepAlive && !this.#surplus;
  }

  /** @throws Error for what is no answer of HTTP/1.1; nothing may be read after that */
  read(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case 'head':
          at = this.#readHead(bytes, at);
          break;
        case 'length':
        case 'chunk':
          at = this.#readBody(bytes, at);
          break;
        case 'until-closed':
          this.#events.data(bytes.subarray(at));
          return;
        case 'done':
          this.#surplus = true;
          return;
        default:
          at = this.#readLine(bytes, at);
      }
    }
  }

  /** The connection has ended. @throws Error where the answer has not */
  closed(): void {
    if (this.#state === 'until-closed') this.#finish();
    else if (this.#state !== 'done') throw new Error('the connection was closed before the answer ended');
  }

  #readHead(bytes: Buffer, from: number): number {
    const before = this.#held?.length ?? 0;
    const all = this.#held === undefined ? bytes.subarray(from) : Buffer.concat([this.#held, bytes.subarray(from)]);
    const end = all.indexOf('\r\n\r\n', Math.max(0, before - 3), 'latin1');
    if (end === -1 ? all.length > MOST_HEAD : end > MOST_HEAD) {
      throw new Error(`its head has more than ${MOST_HEAD} bytes`);
    }
    if (end === -1) {
      this.#held = before === 0 ? Buffer.from(all) : all;
      return bytes.length;
    }
    this.#held = undefined;
    this.#begin(all.toString('latin1', 0, end));
    return from + end + 4 - before;
  }

  #begin(text: string): void {
    const lines = text.split('\r\n');
    const match = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [^\r\n]*)?$/.exec(lines[0]!);
    if (match === null) throw new Error('its first line is none of HTTP/1.1');
    const status = Number(match[2]);
    const headers: string[] = [];
    for (let i = 1; i < lines.length; i++) headers.push(...field(lines[i]!));
    if (status < 200) {
      if (status === 101) throw new Error('it changes protocols, which nobody asked for');
      if (++this.#interim > MOST_INTERIM) throw new Error(`more than ${MOST_INTERIM} answers of 1xx`);
      return;
    }
    const framing = framingOf(headers);
    this.#keepAlive = match[1] === '1' && !framing.close;
    const bodiless = this.#bodiless || status === 204 || status === 304;
    if (bodiless || framing.length === 0) this.#state = 'done';
    else if (framing.length !== undefined) {
      this.#state = 'length';
      this.#left = framing.length;
    } else if (framing.chunked) this.#state = 'size';
    else {
      this.#state = 'until-closed';
      this.#keepAlive = false;
    }
    this.#events.head(status, headers);
    if (this.#state === 'done') this.#events.end();
  }

  #readBody(bytes: Buffer, from: number): number {
    const to = Math.min(bytes.length, from + this.#left);
    this.#left -= to - from;
    const ends = this.#left === 0;
    const whole = ends && this.#state === 'length';
    if (ends) this.#state = this.#state === 'chunk' ? 'chunk-end' : 'done';
    this.#events.data(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
    if (whole) this.#events.end();
    return to;
  }

  /** The lines of the chunked coding: sizes, what ends a chunk, trailers. */
  #readLine(bytes: Buffer, from: number): number {
    const newline = bytes.indexOf(0x0a, from);
    const to = newline === -1 ? bytes.length : newline + 1;
    if (this.#line.length + to - from > MOST_SIZE_LINE) throw new Error(`a line of more than ${MOST_SIZE_LINE} bytes`);
    this.#line += bytes.toString('latin1', from, to);
    if (newline === -1) return to;
    if (!this.#line.endsWith('\r\n')) throw new Error('a line that ends without a carriage return');
    const line = this.#line.slice(0, -2);
    this.#line = '';
    if (this.#state === 'size') this.#beginChunk(line);
    else if (this.#state === 'chunk-end') {
      if (line !== '') throw new Error('a chunk is longer than it said');
      this.#state = 'size';
    } else if (line === '') this.#finish();
    else {
      field(line);
      this.#trailerBytes += line.length;
      if (this.#trailerBytes > MOST_HEAD) throw new Error(`its trailers have more than ${MOST_HEAD} bytes`);
    }
    return to;
  }

  #beginChunk(line: string): void {
    const match = /^([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n\0]*)?$/.exec(line);
    if (match === null) throw new Error('the size of a chunk is not a number');
    this.#left = Number.parseInt(match[1]!, 16);
    this.#state = this.#left === 0 ? 'trailers' : 'chunk';
  }

  #finish(): void {
    this.#state = 'done';
    this.#events.end();
  }
}

/** @throws Error for what is not `name: value`; continued lines are none (RFC 9112 5.2) */
function field(line: string): [name: string, value: string] {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0));
  const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name) || /[\0\r\n]/.test(value)) throw new Error('a header that is none');
  return [name, value];
}

interface Framing {
  readonly length: number | undefined;
  readonly chunked: boolean;
  readonly close: boolean;
}

function framingOf(headers: readonly string[]): Framing {
  let length: number | undefined;
  let chunked = false;
  let close = false;
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1]!;
    switch (headers[i]!.toLowerCase()) {
      case 'content-length':
        if (length !== undefined || !/^\d{1,15}$/.test(value)) throw new Error('its length is not one number');
        length = Number(value);
        break;
      case 'transfer-encoding':
        if (chunked || value.toLowerCase() !== 'chunked') throw new Error('a transfer coding other than chunked');
        chunked = true;
        break;
      case 'connection':
        close ||= value.split(',').some((option) => option.trim().toLowerCase() === 'close');
    }
  }
  if (chunked && length !== undefined) throw new Error('it has a length and is chunked');
  return { length, chunked, close };
}
