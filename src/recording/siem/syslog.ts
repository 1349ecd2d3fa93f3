import { connect, type TLSSocket } from 'node:tls';
import { type Sink, SinkError } from './sink.ts';

export interface SyslogOptions {
  readonly host: string;
  readonly port: number;
  /** PEM; replaces the system's authorities. */
  readonly ca: string | undefined;
  readonly certificate: (() => { readonly cert: string; readonly key: string }) | undefined;
  /** Milliseconds for TCP and TLS. */
  readonly connectTimeout: number;
}

/** RFC 5424 6.2.1: facility 13 is "log audit". */
const FACILITY = 13;
const NIL = '-';
/** Milliseconds, beside its way back and forth, in which a receiver that is gone, or refuses this client, says so. */
const MOMENT = 25;
const LONGEST_WAY = 2_000;

/** One event as a message of RFC 5424. @param body JSON @param hostname of this replica */
export function syslogMessage(
  event: { readonly stageTimestamp: string; readonly bad: boolean },
  body: string,
  hostname: string,
): string {
  const severity = event.bad ? 4 : 6;
  const time = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(event.stageTimestamp) ? event.stageTimestamp : NIL;
  return `<${FACILITY * 8 + severity}>1 ${time} ${printable(hostname, 255)} sallyport ${process.pid} recording ${NIL} ${inASCII(body)}`;
}

/**
 * Syslog over TLS (RFC 5425): each message behind its length. The protocol has no word for "taken": a batch counts when its bytes
 * have left this process and the connection still stands once a refusal would have come back; one that breaks before is sent again, so
 * a message may come twice.
 */
export class SyslogSink implements Sink {
  readonly #options: SyslogOptions;
  #socket: TLSSocket | undefined;
  /** Milliseconds that the handshake took: one way to the receiver and back, at least. */
  #way = 0;
  /** Why the connection ended. */
  #ended: Error | undefined;

  constructor(options: SyslogOptions) {
    this.#options = options;
  }

  async send(events: readonly string[], signal: AbortSignal): Promise<number> {
    const socket = await this.#connected(signal);
    const frames: Buffer[] = [];
    for (const event of events) {
      const message = Buffer.from(event);
      frames.push(Buffer.from(`${message.length} `), message);
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (): void => reject(this.#failure(signal));
    socket.once('close', fail);
    signal.addEventListener('abort', fail, { once: true });
    // A receiver that is gone says so by a reset; one that refuses this client's certificate, behind the handshake of TLS 1.3: both come
    // back after the bytes have left.
    const moment = MOMENT + Math.min(2 * this.#way, LONGEST_WAY);
    socket.write(Buffer.concat(frames), () => setTimeout(resolve, moment));
    try {
      await promise;
      return 0;
    } catch (error) {
      this.#drop();
      throw error;
    } finally {
      socket.removeListener('close', fail);
      signal.removeEventListener('abort', fail);
    }
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    const gone = new Promise((resolve) => socket.once('close', resolve));
    socket.end();
    setTimeout(() => socket.destroy(), 500).unref();
    await gone;
  }

  async #connected(signal: AbortSignal): Promise<TLSSocket> {
    if (this.#socket !== undefined && !this.#socket.destroyed && this.#socket.writable) return this.#socket;
    const { host, port, ca, certificate, connectTimeout } = this.#options;
    this.#ended = undefined;
    const socket = connect({
      host,
      port,
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
      ...(ca === undefined ? {} : { ca }),
      ...certificate?.(),
    });
    socket.setKeepAlive(true, 10_000);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => socket.destroy(new Error('no connection in time')), connectTimeout);
    const abort = (): void => void socket.destroy(new Error('no connection in time'));
    signal.addEventListener('abort', abort, { once: true });
    let connectedAt = performance.now();
    socket.once('connect', () => {
      connectedAt = performance.now();
    });
    socket.once('secureConnect', () => {
      this.#way = performance.now() - connectedAt;
      resolve();
    });
    socket.on('error', (error) => {
      this.#ended = error;
    });
    // Nothing is to be read; without a reader its end would not be seen.
    socket.resume();
    socket.once('close', () => reject(this.#failure(signal)));
    this.#socket = socket;
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
    return socket;
  }

  #failure(signal: AbortSignal): SinkError {
    const { host, port } = this.#options;
    const error = this.#ended as NodeJS.ErrnoException | undefined;
    const why = error?.code ?? error?.message ?? (signal.aborted ? 'no answer in time' : 'it closed the connection');
    return new SinkError('Later', `${host}:${port}: ${why}`);
  }

  #drop(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }
}

/** The same value. Of a message in UTF-8 the RFC demands a byte order mark (6.4), which most that read JSON do not take. */
function inASCII(json: string): string {
  return json.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function printable(text: string, most: number): string {
  const kept = text.replaceAll(/[^\x21-\x7e]/g, '').slice(0, most);
  return kept === '' ? NIL : kept;
}
