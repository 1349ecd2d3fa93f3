import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import { resolve } from 'node:path';
import { JsonLines } from './json-lines.ts';
import {
  isFields,
  material,
  type PersonContext,
  type PersonOptions,
  readPersonContext,
  text,
} from './person-kubeconfig.ts';
import { pathOf, type ResourcePath } from './resource-path.ts';

/** What the API server answered, in its own words; 0 where it did not answer. */
export class ServerRefusal extends Error {
  readonly status: number;
  /** metav1.StatusReason. */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.name = 'ServerRefusal';
    this.status = status;
    this.reason = reason;
  }
}

export interface PersonQuestion {
  readonly method?: 'GET' | 'POST' | 'PATCH';
  readonly path: ResourcePath | '/version';
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly accept?: string;
}

/** Who the API server takes a person for (SelfSubjectReview). */
export interface UserInfo {
  readonly username: string;
  readonly uid: string;
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

const TIMEOUT = 30_000;
const MAX_ANSWER = 64 << 20;

/**
 * The API server as a person reaches it with their own kubeconfig and credentials, like their kubectl: certificates,
 * tokens and credential plugins are read here, since a command that people wait for should begin at once; what is rarer
 * (auth providers, proxies) by the Kubernetes client library.
 */
export class Person {
  readonly context: PersonContext;
  readonly #options: Promise<RequestOptions>;
  #agent: Agent | PlainAgent | undefined;

  /** Opens nothing yet. @throws Error naming the file, context or entry that is missing */
  constructor(options: PersonOptions) {
    this.context = readPersonContext(options);
    this.#options = this.#connect();
    this.#options.catch(() => {});
  }

  get server(): string {
    return (text(this.context.cluster.fields, 'server') ?? '').replace(/\/$/, '');
  }

  /** @throws ServerRefusal; Error where there is no credential to be had */
  async ask(question: PersonQuestion): Promise<unknown> {
    const answer = await this.#send(question, TIMEOUT);
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of answer) {
        size += (chunk as Buffer).length;
        if (size > MAX_ANSWER) throw new ServerRefusal(0, '', 'the answer is too long');
        chunks.push(chunk as Buffer);
      }
    } catch (error) {
      throw this.#failure(error);
    }
    const body = Buffer.concat(chunks).toString('utf8');
    if (answer.statusCode! >= 200 && answer.statusCode! < 300) return parsed(body);
    const { message, reason } = statusOf(body);
    throw new ServerRefusal(answer.statusCode!, reason, message || `HTTP ${answer.statusCode}`);
  }

  /** The events of a watch until the API server ends it. @throws ServerRefusal */
  async *watch(question: PersonQuestion): AsyncGenerator<{ readonly type: string; readonly object: unknown }, void> {
    const answer = await this.#send({ ...question, query: { ...question.query, watch: 'true' } }, 0);
    const lines = new JsonLines(8 << 20);
    try {
      for await (const chunk of answer) {
        if (answer.statusCode !== 200) {
          const { message, reason } = statusOf((chunk as Buffer).toString('utf8'));
          throw new ServerRefusal(answer.statusCode!, reason, message || `HTTP ${answer.statusCode}`);
        }
        for (const line of lines.push(chunk as Buffer)) yield line as { type: string; object: unknown };
      }
    } catch (error) {
      throw this.#failure(error);
    } finally {
      answer.destroy();
    }
  }

  /** @throws ServerRefusal */
  async whoami(): Promise<UserInfo> {
    const answer = await this.ask({
      method: 'POST',
      path: { group: 'authentication.k8s.io', version: 'v1', resource: 'selfsubjectreviews' },
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    });
    const info = (answer as { status?: { userInfo?: Partial<UserInfo> } } | null)?.status?.userInfo;
    return { username: info?.username ?? '', uid: info?.uid ?? '', extra: info?.extra ?? {} };
  }

  close(): void {
    this.#agent?.destroy();
  }

  async #send(question: PersonQuestion, timeout: number): Promise<IncomingMessage> {
    const options = await this.#options;
    const { method = 'GET', path, query, body, accept = 'application/json' } = question;
    const url = new URL(this.server);
    const search = query === undefined ? '' : `?${new URLSearchParams({ ...query })}`;
    const content = body === undefined ? undefined : JSON.stringify(body);
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = {
      ...options.headers,
      accept,
      'user-agent': 'kubectl-sallyport',
      ...(content === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(content) }),
    };
    const send = url.protocol === 'http:' ? plainRequest : request;
    return await new Promise((done, fail) => {
      const sent = send(
        {
          ...options,
          host: url.hostname.replace(/^\[|\]$/g, ''),
          port: url.port,
          method,
          headers,
          path: `${url.pathname.replace(/\/$/, '')}${typeof path === 'string' ? path : pathOf(path)}${search}`,
        },
        done,
      );
      sent.setTimeout(timeout, () => sent.destroy(new ServerRefusal(0, '', `${this.server} does not answer`)));
      sent.on('error', (error) => fail(this.#failure(error)));
      sent.end(content);
    });
  }

  #failure(error: unknown): Error {
    if (error instanceof ServerRefusal) return error;
    const { code, message } = error as NodeJS.ErrnoException;
    return new ServerRefusal(0, '', `the API server ${this.server} cannot be asked: ${code ?? message}`);
  }

  async #connect(): Promise<RequestOptions> {
    const { cluster, user, userName } = this.context;
    if (this.server === '') throw new Error(`the cluster "${this.context.clusterName}" has no server`);
    const isRare = user.fields['auth-provider'] !== undefined || cluster.fields['proxy-url'] !== undefined;
    if (isRare) return await this.#byLibrary();
    const ca = material(cluster, 'certificate-authority');
    const serverName = text(cluster.fields, 'tls-server-name');
    const headers: Record<string, string | string[]> = impersonation(user.fields);
    let token = text(user.fields, 'token');
    const tokenFile = text(user.fields, 'tokenFile');
    if (tokenFile !== undefined) token = readFileSync(resolve(user.folder, tokenFile), 'utf8').trim();
    let cert: string | Buffer | undefined = material(user, 'client-certificate');
    let key: string | Buffer | undefined = material(user, 'client-key');
    if (isFields(user.fields['exec'])) {
      const about = { server: this.server, caData: ca?.toString('base64'), tlsServerName: serverName };
      const { runExecPlugin } = await import('./exec-plugin.ts');
      const given = await runExecPlugin(user.fields['exec'], about, user.folder);
      token = given.token ?? token;
      ({ cert, key } = given.certificate ?? { cert, key });
    }
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    else if (text(user.fields, 'username') !== undefined) {
      const pair = `${text(user.fields, 'username')}:${text(user.fields, 'password') ?? ''}`;
      headers['authorization'] = `Basic ${Buffer.from(pair).toString('base64')}`;
    } else if (cert === undefined) {
      throw new Error(`the user "${userName}" of the kubeconfig has no credential`);
    }
    const isPlain = this.server.startsWith('http:');
    this.#agent = isPlain
      ? new PlainAgent({ keepAlive: true, maxSockets: 8 })
      : new Agent({ keepAlive: true, maxSockets: 8 });
    return {
      agent: this.#agent,
      headers: headers as NonNullable<RequestOptions['headers']>,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...(cluster.fields['insecure-skip-tls-verify'] === true ? { rejectUnauthorized: false } : {}),
    };
  }

  async #byLibrary(): Promise<RequestOptions> {
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    const [first = '', ...others] = this.context.files;
    config.loadFromFile(first);
    for (const file of others) {
      const other = new KubeConfig();
      other.loadFromFile(file);
      config.mergeConfig(other, true);
    }
    config.setCurrentContext(this.context.name);
    const options: RequestOptions = { headers: {} };
    await config.applyToHTTPSOptions(options as Parameters<typeof config.applyToHTTPSOptions>[0]);
    return {
      ...options,
      headers: { ...options.headers, ...impersonation(this.context.user.fields) } as NonNullable<
        RequestOptions['headers']
      >,
    };
  }
}

/** `as`, `as-uid`, `as-groups` of a kubeconfig, as kubectl sends them. */
function impersonation(user: Readonly<Record<string, unknown>>): Record<string, string | string[]> {
  const as = text(user, 'as');
  const uid = text(user, 'as-uid');
  const groups = user['as-groups'];
  return {
    ...(as === undefined ? {} : { 'impersonate-user': as }),
    ...(uid === undefined ? {} : { 'impersonate-uid': uid }),
    ...(Array.isArray(groups) ? { 'impersonate-group': groups.map(String) } : {}),
  };
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new ServerRefusal(0, '', 'the answer is not JSON: is that an API server?');
  }
}

function statusOf(body: string): { message: string; reason: string } {
  try {
    const { message, reason } = JSON.parse(body) as { message?: unknown; reason?: unknown };
    return { message: typeof message === 'string' ? message : '', reason: typeof reason === 'string' ? reason : '' };
  } catch {
    return { message: '', reason: '' };
  }
}
