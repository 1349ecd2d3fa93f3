import { Agent, request } from 'undici';
import type { PublicConfiguration } from '../identity/session-endpoint.ts';
import { CommandError } from './command-io.ts';

const TIMEOUT = 15_000;
const MAX_ANSWER = 1 << 20;
/** Milliseconds without a byte. */
const SILENCE = 60_000;

/** The gateway refused; `code` is the OAuth error or the Status reason. */
export class GatewayRefusal extends CommandError {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface SessionToken {
  readonly token: string;
  readonly session: string;
  /** Unix milliseconds. */
  readonly expiresAt: number;
}

export interface OwnSession {
  readonly name: string;
  readonly agent: string;
  readonly onBehalfOf: string;
  readonly creationTime: string;
  readonly expirationTime: string;
  readonly revoked: boolean;
  readonly reason?: string;
  readonly lastSeenTime?: string;
}

export interface GatewayClientOptions {
  readonly url: string;
  /** PEM; absent: the system's authorities. */
  readonly ca?: string | undefined;
  readonly clientCertificate?: { readonly cert: string; readonly key: string } | undefined;
}

export interface StreamedAnswer {
  readonly status: number;
  readonly body: AsyncGenerator<Buffer>;
  /** Seconds. */
  readonly retryAfter: number | undefined;
  readonly message: string;
}

/** The gateway's own endpoint, as the command line uses it (docs/sessions.md). Certificates are always verified. */
export class GatewayClient {
  readonly #url: string;
  readonly #agent: Agent;

  constructor(options: GatewayClientOptions) {
    this.#url = options.url;
    this.#agent = new Agent({
      connections: 8,
      connect: {
        timeout: 10_000,
        rejectUnauthorized: true,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        ...options.clientCertificate,
      },
    });
  }

  async configuration(): Promise<PublicConfiguration> {
    const answer = (await this.#ask('GET', 'config', undefined)) as Partial<PublicConfiguration> | null;
    if (!Array.isArray(answer?.signIn) || !Array.isArray(answer.agents)) {
      throw new CommandError(`${this.#url} does not answer like a Sallyport gateway`);
    }
    return answer as PublicConfiguration;
  }

  /**
   * Exchanges a person's proof (their ID token, or their client certificate) for a session.
   * @throws GatewayRefusal
   */
  async exchange(idToken: string | undefined, agent: string, ttl: number | undefined): Promise<SessionToken> {
    const form = new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', agent });
    if (ttl !== undefined) form.set('requested_ttl', String(ttl));
    const answer = (await this.#ask('POST', 'token', idToken, form.toString())) as Record<string, unknown> | null;
    const { access_token: token, session, expires_at: expires } = answer ?? {};
    const expiresAt = Date.parse(String(expires));
    if (typeof token !== 'string' || typeof session !== 'string' || Number.isNaN(expiresAt)) {
      throw new CommandError(`${this.#url} answered the token exchange with something else than a session`);
    }
    return { token, session, expiresAt };
  }

  /** @param credential the person's ID token; undefined: their client certificate */
  async sessions(credential: string | undefined): Promise<readonly OwnSession[]> {
    const answer = (await this.#ask('GET', 'sessions', credential)) as { sessions?: OwnSession[] } | null;
    return answer?.sessions ?? [];
  }

  async revoke(credential: string | undefined, name: string): Promise<void> {
    await this.#ask('DELETE', `sessions/${encodeURIComponent(name)}`, credential);
  }

  /** Whether a session's own token is still accepted. @throws CommandError when the gateway cannot say. */
  async stands(token: string, name: string): Promise<boolean> {
    try {
      await this.#ask('GET', `sessions/${encodeURIComponent(name)}`, token);
      return true;
    } catch (error) {
      if (error instanceof GatewayRefusal && (error.status === 401 || error.status === 404)) return false;
      throw error;
    }
  }

  /** A body as it comes, of any length; what is no 200 has a message. The connection's own limits hold, and a minute of silence. */
  async read(path: string, bearer: string | undefined, signal?: AbortSignal): Promise<StreamedAnswer> {
    const until = signal ?? new AbortController().signal;
    try {
      const answer = await request(`${this.#url}/sallyport/v1/${path}`, {
        method: 'GET',
        dispatcher: this.#agent,
        signal: until,
        headersTimeout: SILENCE,
        bodyTimeout: SILENCE,
        headers: {
          'user-agent': 'sallyport-cli',
          ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
        },
      });
      const { statusCode: status, headers } = answer;
      if (status === 200) return { status, body: chunksOf(answer.body, this.#url), retryAfter: undefined, message: '' };
      const text = await answer.body.text();
      const wait = Number(headers['retry-after']);
      return { status, body: chunksOf([], this.#url), retryAfter: wait > 0 ? wait : undefined, message: said(text) };
    } catch (error) {
      throw unreachable(this.#url, error);
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #ask(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    bearer: string | undefined,
    form?: string,
  ): Promise<unknown> {
    const { status, text } = await this.#send(method, path, bearer, form);
    let body: Record<string, unknown> | null = null;
    try {
      body = JSON.parse(text) as Record<string, unknown>;
    } catch {
      if (status < 300) throw new CommandError(`${this.#url} does not answer like a Sallyport gateway`);
    }
    if (status >= 200 && status < 300) return body;
    const code = body?.['error'] ?? body?.['reason'];
    const message = body?.['error_description'] ?? body?.['message'] ?? `HTTP ${status}`;
    throw new GatewayRefusal(
      status,
      typeof code === 'string' ? code : '',
      `the gateway says: ${String(message).slice(0, 500)}`,
    );
  }

  async #send(method: 'GET' | 'POST' | 'DELETE', path: string, bearer: string | undefined, form?: string) {
    try {
      const answer = await request(`${this.#url}/sallyport/v1/${path}`, {
        method,
        dispatcher: this.#agent,
        signal: AbortSignal.timeout(TIMEOUT),
        headers: {
          accept: 'application/json',
          'user-agent': 'sallyport-cli',
          ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
          ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        },
        ...(form === undefined ? {} : { body: form }),
      });
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of answer.body) {
        size += (chunk as Buffer).length;
        if (size > MAX_ANSWER) throw new CommandError(`${this.#url} answered with over ${MAX_ANSWER} bytes`);
        chunks.push(chunk as Buffer);
      }
      return { status: answer.statusCode, text: Buffer.concat(chunks).toString('utf8') };
    } catch (error) {
      throw unreachable(this.#url, error);
    }
  }
}

async function* chunksOf(body: AsyncIterable<unknown> | Iterable<unknown>, url: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) yield chunk as Buffer;
  } catch (error) {
    throw unreachable(url, error);
  }
}

function unreachable(url: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  const { code, name } = error as NodeJS.ErrnoException;
  const why = name === 'TimeoutError' ? 'no answer in time' : (code ?? 'the connection failed');
  return new CommandError(`the gateway ${url} cannot be reached: ${why}`);
}

/** The message of a Status, or of an OAuth error. */
function said(text: string): string {
  try {
    const { message, error_description: description } = JSON.parse(text) as Record<string, unknown>;
    return `the gateway says: ${String(message ?? description ?? 'no').slice(0, 500)}`;
  } catch {
    return 'the gateway does not answer like one of Sallyport';
  }
}
