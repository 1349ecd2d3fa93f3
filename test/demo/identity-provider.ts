import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';

export interface Person {
  readonly email: string;
  readonly groups: readonly string[];
}

export const CLIENT_ID = 'sallyport-cli';
/** A certified OpenID provider on loopback whose sign-in page asks who one wants to be. For demonstrations only. */
export class IdentityProvider {
  readonly #server: Server;
  readonly url: string;

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
  }

  static async start(people: Readonly<Record<string, Person>>): Promise<IdentityProvider> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const provider = new Provider(url, {
      clients: [
        {
          client_id: CLIENT_ID,
          token_endpoint_auth_method: 'none',
          application_type: 'native',
          redirect_uris: ['http://127.0.0.1/callback'],
          grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
          response_types: ['code'],
        },
      ],
      claims: { openid: ['sub', 'email', 'groups', 'auth_time'] },
      conformIdTokenClaims: false,
      findAccount: (_context, id) => ({
        accountId: id,
        claims: async () => ({ sub: id, email: people[id]?.email, groups: people[id]?.groups ?? [] }),
      }),
      features: { devInteractions: { enabled: false }, deviceFlow: { enabled: true } },
      interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
      ttl: { IdToken: 3_600, AccessToken: 3_600, Session: 3_600, Grant: 3_600, Interaction: 600, DeviceCode: 600 },
      pkce: { required: () => true },
    });
    const callback = provider.callback();
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      if (!request.url?.startsWith('/interaction/')) {
        callback(request, response);
        return;
      }
      interact(provider, people, request, response).catch(() => response.writeHead(500).end());
    });
    return new IdentityProvider(server, url);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The sign-in page: one link for each person; following one signs in and consents. */
async function interact(
  provider: Provider,
  people: Readonly<Record<string, Person>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const details = await provider.interactionDetails(request, response);
  const url = new URL(request.url ?? '', 'http://loopback');
  if (details.prompt.name === 'login') {
    const person = url.searchParams.get('as') ?? '';
    if (people[person] === undefined) {
      const links = Object.keys(people).map((name) => `<p><a href="?as=${name}">Sign in as ${name}</a></p>`);
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      response.end(`<!doctype html><title>Sign in</title><h1>Who are you today?</h1>${links.join('')}`);
      return;
    }
    await provider.interactionFinished(request, response, { login: { accountId: person } });
    return;
  }
  const grant = new provider.Grant({ accountId: details.session!.accountId, clientId: CLIENT_ID });
  grant.addOIDCScope('openid offline_access');
  grant.addOIDCClaims(['email', 'groups']);
  await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}
