import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export interface Post {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A real HTTP server that keeps what it was sent, and answers as it is told. */
export class HttpReceiver {
  readonly posts: Post[] = [];
  readonly #server: Server;
  answer: (response: ServerResponse, count: number) => void = (response) => response.writeHead(200).end('ok');

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<HttpReceiver> {
    const server = createServer();
    const receiver = new HttpReceiver(server);
    server.on('request', (request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (part: string) => (body += part));
      request.on('end', () => {
        receiver.posts.push({ path: request.url!, headers: request.headers, body });
        receiver.answer(response, receiver.posts.length);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly raw: string;
  /** Headers, unfolded, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly html: string;
  readonly secure: boolean;
  readonly user: string | undefined;
}

/** A real SMTP server that keeps its mail. */
export class MailReceiver {
  readonly mails: Mail[] = [];
  readonly #server: SMTPServer;

  private constructor(server: SMTPServer) {
    this.#server = server;
  }

  static async start(options: SMTPServerOptions = {}): Promise<MailReceiver> {
    const server = new SMTPServer({
      ...options,
      onData(stream, session, callback) {
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('end', () => {
          const { mailFrom, rcptTo } = session.envelope;
          const raw = Buffer.concat(chunks).toString('utf8');
          receiver.mails.push({
            from: mailFrom === false ? '' : mailFrom!.address,
            to: rcptTo.map(({ address }) => address),
            raw,
            ...partsOf(raw),
            secure: session.secure === true,
            user: session.user === undefined ? undefined : String(session.user),
          });
          callback();
        });
      },
    });
    const receiver = new MailReceiver(server);
    server.on('error', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    return receiver;
  }

  get port(): number {
    return (this.#server.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

function partsOf(raw: string): { headers: Record<string, string>; text: string; html: string } {
  const [head = '', body = ''] = split(raw);
  const headers = headersOf(head);
  const boundary = /boundary="?([^";]+)"?/.exec(headers['content-type'] ?? '')?.[1];
  const parts = (boundary === undefined ? [] : body.split(`--${boundary}`)).map((part) =>
    split(part.replace(/^\r\n/, '')),
  );
  const of = (type: string): string => {
    const part = parts.find(([partHead = '']) => headersOf(partHead)['content-type']?.startsWith(type));
    return part === undefined ? '' : decode(part[1] ?? '');
  };
  return { headers, text: of('text/plain'), html: of('text/html') };
}

function split(text: string): [string, string] {
  const at = text.indexOf('\r\n\r\n');
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 4)];
}

function headersOf(head: string): Record<string, string> {
  const lines = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n');
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
}

/** Quoted-printable (RFC 2045). */
function decode(text: string): string {
  const bytes = text
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8').replaceAll('\r\n', '\n');
}
