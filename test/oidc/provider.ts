import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import Provider from 'oidc-provider';

export const CLIENT_ID = 'sallyport-cli';

/** A certified OpenID provider on loopback with the login and consent forms that it ships for development. */
export class TestProvider {
  readonly #server: Server;
  readonly url: string;
  /** ID tokens given out, by grant type. */
  readonly granted: string[] = [];
  /** Query strings of authorization requests. */
  readonly authorizations: URLSearchParams[] = [];

  private constructor(server: Server, url: string, device: boolean) {
    this.#server = server;
    this.url = url;
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
      claims: { openid: ['sub', 'groups', 'auth_time'] },
      findAccount: (_context, id) => ({
        accountId: id,
        claims: async () => ({ sub: id, groups: ['developers'] }),
      }),
      features: { devInteractions: { enabled: true }, deviceFlow: { enabled: device } },
      ttl: {
        IdToken: 300,
        AccessToken: 300,
        Session: 3_600,
        Grant: 3_600,
        Interaction: 600,
        DeviceCode: 600,
        RefreshToken: 3_600,
      },
      pkce: { required: () => true },
    });
    provider.on('grant.success', (context) => {
      this.granted.push(String(context.oidc.params?.['grant_type']));
    });
    const callback = provider.callback();
    server.on('request', (request, response) => {
      const target = new URL(request.url ?? '', url);
      if (target.pathname === '/auth') this.authorizations.push(target.searchParams);
      callback(request, response);
    });
  }

  static async start(options: { device?: boolean } = {}): Promise<TestProvider> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return new TestProvider(server, url, options.device ?? true);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
