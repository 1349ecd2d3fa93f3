import { createHash } from 'node:crypto';
import type { SessionsConfiguration } from '../config/sessions.ts';
import type { Caller } from './caller.ts';
import { notAuthenticated } from './refusal.ts';
import { type SessionExchange, SessionRefused } from './session-exchange.ts';
import type { AgentSession } from './session-object.ts';

/** Everything below this prefix is the gateway's own and never forwarded. */
export const ENDPOINT_PREFIX = '/sallyport/v1/';
/** Bytes of a request body that is worth reading at all. */
export const MAX_ENDPOINT_BODY = 16_384;

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt';

export interface EndpointRequest {
  readonly method: string;
  /** The path as received, with its query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
  /** Undefined only for what `isPublicEndpoint` allows. */
  readonly caller: Caller | undefined;
}

export interface EndpointResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** True for the one question that is answered before anyone has signed in: how to sign in. */
export function isPublicEndpoint(method: string, path: string): boolean {
  return (method === 'GET' || method === 'HEAD') && path === `${ENDPOINT_PREFIX}config`;
}

/** What `GET /sallyport/v1/config` tells: nothing in it is secret, everything is needed before a sign-in. */
export interface PublicConfiguration {
  readonly audience: string;
  readonly signIn: readonly {
    readonly issuer: string;
    readonly clientID: string;
    readonly scopes: readonly string[];
    readonly redirectPorts: readonly number[];
  }[];
  readonly agents: readonly { readonly name: string; readonly maxTTLSeconds: number }[];
  readonly defaultTTLSeconds: number;
}

export function publicConfiguration(configuration: SessionsConfiguration, audience: string): PublicConfiguration {
  return {
    audience,
    signIn: configuration.signIn,
    agents: configuration.agents.map(({ name, maxTTL }) => ({
      name,
      maxTTLSeconds: Math.floor(Math.min(maxTTL, configuration.maxTTL) / 1_000),
    })),
    defaultTTLSeconds: Math.floor(configuration.defaultTTL / 1_000),
  };
}

/**
 * The gateway's endpoint for people and their command line. Refusals of the token exchange are answered as RFC 6749
 * §5.2 says; SallyportErrors that are no refusal (not loaded, not authenticated) are thrown for the gateway to answer.
 */
export class SessionEndpoint {
  readonly #exchange: SessionExchange;
  readonly #config: { readonly body: string; readonly etag: string };

  constructor(exchange: SessionExchange, configuration: SessionsConfiguration, audience: string) {
    this.#exchange = exchange;
    const body = `${JSON.stringify(publicConfiguration(configuration, audience))}\n`;
    this.#config = { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` };
  }

  async handle(request: EndpointRequest): Promise<EndpointResponse> {
    const { method, path, caller } = request;
    if (isPublicEndpoint(method, path)) return this.#answerConfig(request);
    if (caller === undefined) throw notAuthenticated('a session endpoint without a caller');
    // Browsers say where a request comes from; this endpoint is for the command line, and a page that a person with a
    // client certificate happens to visit must not make or end sessions in their name.
    if (request.headers['origin'] !== undefined) return refusal(400, 'invalid_request', 'not for browsers');
    try {
      return await this.#route(request, caller);
    } catch (error) {
      if (!(error instanceof SessionRefused)) throw error;
      return refusal(error.oauth === 'insufficient_user_authentication' ? 403 : 400, error.oauth, error.message);
    }
  }

  async #route(request: EndpointRequest, caller: Caller): Promise<EndpointResponse> {
    const { method, path } = request;
    const route = path.slice(ENDPOINT_PREFIX.length);
    if (route === 'token') return method === 'POST' ? this.#issue(request, caller) : notAllowed('POST');
    if (route === 'sessions') {
      return method === 'GET' ? json(200, { sessions: this.#exchange.list(caller).map(shown) }) : notAllowed('GET');
    }
    const name = /^sessions\/([a-z0-9][-a-z0-9]{0,120})$/.exec(route)?.[1];
    if (name === undefined) return refusal(404, 'not_found', 'there is no such endpoint');
    if (method === 'GET') {
      const session = await this.#exchange.find(caller, name);
      return session === undefined ? absent() : json(200, shown(session));
    }
    if (method === 'DELETE') {
      return (await this.#exchange.revoke(caller, name)) ? json(200, { name, revoked: true }) : absent();
    }
    return notAllowed('GET, DELETE');
  }

  async #issue(request: EndpointRequest, caller: Caller): Promise<EndpointResponse> {
    const form = readForm(request);
    if (form.get('grant_type') !== TOKEN_EXCHANGE) {
      return refusal(400, 'unsupported_grant_type', `grant_type must be ${TOKEN_EXCHANGE}`);
    }
    for (const name of form.keys()) {
      // RFC 8693's subject_token too: the subject is whoever is authenticated, and a second credential in the same
      // request could only contradict the first.
      if (!['grant_type', 'agent', 'requested_ttl', 'requested_token_type'].includes(name)) {
        throw new SessionRefused('invalid_request', 'only grant_type, agent, requested_ttl and requested_token_type');
      }
    }
    if ((form.get('requested_token_type') ?? JWT_TYPE) !== JWT_TYPE) {
      throw new SessionRefused('invalid_request', `requested_token_type can only be ${JWT_TYPE}`);
    }
    const agent = form.get('agent');
    if (agent === undefined || agent === '') throw new SessionRefused('invalid_request', 'agent is missing');
    const ttl = form.get('requested_ttl');
    if (ttl !== undefined && !/^[1-9]\d{0,6}$/.test(ttl)) {
      throw new SessionRefused('invalid_request', 'requested_ttl is a whole number of seconds');
    }
    const issued = await this.#exchange.issue(caller, agent, ttl === undefined ? undefined : Number(ttl));
    return json(200, {
      access_token: issued.token,
      issued_token_type: JWT_TYPE,
      token_type: 'Bearer',
      expires_in: Math.max(0, Math.floor((issued.expiresAt - Date.now()) / 1_000)),
      expires_at: new Date(issued.expiresAt).toISOString(),
      session: issued.name,
      agent: issued.agent,
    });
  }

  #answerConfig(request: EndpointRequest): EndpointResponse {
    const { body, etag } = this.#config;
    const headers = { ...JSON_HEADERS, 'cache-control': 'public, max-age=300', etag };
    if (request.headers['if-none-match'] === etag) return { status: 304, headers, body: '' };
    return { status: 200, headers, body: request.method === 'HEAD' ? '' : body };
  }
}

const JSON_HEADERS = { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' };

function json(status: number, value: unknown): EndpointResponse {
  // RFC 6749 §5.1: what holds a token is never cached.
  return { status, headers: { ...JSON_HEADERS, 'cache-control': 'no-store' }, body: `${JSON.stringify(value)}\n` };
}

function refusal(status: number, error: string, description: string): EndpointResponse {
  return json(status, { error, error_description: description });
}

function absent(): EndpointResponse {
  return refusal(404, 'not_found', 'you have no session of that name');
}

function notAllowed(allow: string): EndpointResponse {
  const answer = refusal(405, 'invalid_request', `only ${allow}`);
  return { ...answer, headers: { ...answer.headers, allow } };
}

/** @throws SessionRefused for anything but a small form in which no field stands twice. */
function readForm(request: EndpointRequest): Map<string, string> {
  const type = String(request.headers['content-type'] ?? '')
    .split(';', 1)[0]!
    .trim()
    .toLowerCase();
  if (type !== 'application/x-www-form-urlencoded') {
    throw new SessionRefused('invalid_request', 'the body must be application/x-www-form-urlencoded');
  }
  if (request.body.byteLength > MAX_ENDPOINT_BODY) throw new SessionRefused('invalid_request', 'the body is too large');
  const form = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(Buffer.from(request.body).toString('utf8'))) {
    if (form.has(name)) throw new SessionRefused('invalid_request', 'a field stands twice');
    form.set(name, value);
  }
  return form;
}

/** A session as its person sees it. */
function shown(session: AgentSession): Record<string, unknown> {
  const { name, createdAt, spec, status } = session;
  return {
    name,
    agent: spec.agent,
    onBehalfOf: spec.onBehalfOf,
    creationTime: new Date(createdAt).toISOString(),
    expirationTime: spec.expirationTime,
    revoked: status.revoked === true,
    ...(status.reason === undefined ? {} : { reason: status.reason }),
    ...(status.lastSeenTime === undefined ? {} : { lastSeenTime: status.lastSeenTime }),
  };
}
