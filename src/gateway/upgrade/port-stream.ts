import type { SpdyHeaders } from '../../streams/spdy/header-block.ts';

/** What the headers of a port-forward's stream ask for. */
export interface PortStreamRequest {
  readonly kind: 'data' | 'error';
  readonly port: number;
  /** Joins the two streams of one connection; absent with very old clients. */
  readonly requestID: string | undefined;
}

/**
 * Reads the headers of a stream that a client opens. Undefined for what could be read in two ways: kubelet takes the first of
 * several values, and Go's number parser takes `+22` and `022`, so neither is let through.
 */
export function readPortStream(headers: SpdyHeaders): PortStreamRequest | undefined {
  const kind = single(headers, 'streamtype');
  const port = single(headers, 'port');
  const requestID = headers.has('requestid') ? single(headers, 'requestid') : '';
  if (kind !== 'data' && kind !== 'error') return undefined;
  if (port === undefined || !/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65_535) return undefined;
  if (requestID === undefined || !/^[A-Za-z0-9._-]{0,64}$/.test(requestID)) return undefined;
  return { kind, port: Number(port), requestID: requestID === '' ? undefined : requestID };
}

function single(headers: SpdyHeaders, name: string): string | undefined {
  const values = headers.get(name);
  return values?.length === 1 ? values[0] : undefined;
}

/** Where a stream of the client stands. */
export interface PortStream {
  readonly clientID: number;
  readonly request: PortStreamRequest;
  /** Its number towards the API server, once it is allowed. */
  upstreamID: number | undefined;
  answered: boolean;
  clientEnded: boolean;
  upstreamEnded: boolean;
}

/** The streams of one port-forward, by both of their numbers. */
export class PortStreams {
  readonly #byClient = new Map<number, PortStream>();
  readonly #byUpstream = new Map<number, PortStream>();
  #lastUpstream = -1;

  add(clientID: number, request: PortStreamRequest): PortStream {
    const stream = {
      clientID,
      request,
      upstreamID: undefined,
      answered: false,
      clientEnded: false,
      upstreamEnded: false,
    };
    this.#byClient.set(clientID, stream);
    return stream;
  }

  /**
   * Gives a stream its number upstream. Not the client's own: streams are judged each in its own time, and numbers must rise.
   */
  open(stream: PortStream): number {
    this.#lastUpstream += 2;
    stream.upstreamID = this.#lastUpstream;
    this.#byUpstream.set(this.#lastUpstream, stream);
    return this.#lastUpstream;
  }

  client(id: number): PortStream | undefined {
    return this.#byClient.get(id);
  }

  upstream(id: number): PortStream | undefined {
    return this.#byUpstream.get(id);
  }

  remove(stream: PortStream): void {
    this.#byClient.delete(stream.clientID);
    if (stream.upstreamID !== undefined) this.#byUpstream.delete(stream.upstreamID);
  }

  has(stream: PortStream): boolean {
    return this.#byClient.get(stream.clientID) === stream;
  }

  get size(): number {
    return this.#byClient.size;
  }

  [Symbol.iterator](): IterableIterator<PortStream> {
    return this.#byClient.values();
  }
}
