import { readFile } from 'node:fs/promises';
import { type KeyFiles, RereadCredentials } from './s3-file-credentials.ts';
import { type CredentialSource, type Credentials, checked } from './s3-key-pair.ts';
import { instanceRole, podIdentity } from './s3-metadata-credentials.ts';
import { webIdentity } from './s3-web-identity.ts';

export type S3CredentialsConfiguration =
  | KeyFiles
  | { readonly sharedCredentialsFile: string; readonly profile: string }
  | {
      readonly roleARN: string;
      readonly tokenFile: string;
      readonly sessionName: string;
      readonly endpoint?: string | undefined;
      readonly caFile?: string | undefined;
    }
  | { readonly instanceRole: string; readonly endpoint?: string | undefined };

/** Seconds before their end at which borrowed keys are borrowed anew: a request signed now must still be good when it arrives. */
const EARLY = 5 * 60;

/**
 * The keys in use. Borrowed ones (web identity, instance role) are renewed ahead of their end, by one request however many
 * ask; while that fails the old ones serve as long as they live.
 */
export class CurrentCredentials {
  readonly #source: CredentialSource;
  readonly #now: () => number;
  #held: Credentials | undefined;
  #loading: Promise<Credentials> | undefined;

  constructor(source: CredentialSource, now: () => number = Date.now) {
    this.#source = source;
    this.#now = now;
  }

  get description(): string {
    return this.#source.description;
  }

  async get(): Promise<Credentials> {
    const held = this.#held;
    const left = held === undefined ? 0 : held.expiresAt - this.#now();
    if (held !== undefined && left > EARLY * 1_000) return held;
    this.#loading ??= this.#load();
    if (held === undefined || left <= 0) return await this.#loading;
    // Still good for minutes: nobody waits, and a failure is tried again by the next request.
    this.#loading.catch(() => {});
    return held;
  }

  /** Keys that the store called wrong or expired: the next request asks for new ones. */
  discard(refused: Credentials): void {
    if (this.#held === refused) this.#held = undefined;
  }

  async #load(): Promise<Credentials> {
    try {
      this.#held = await this.#source.load(AbortSignal.timeout(10_000));
      return this.#held;
    } finally {
      this.#loading = undefined;
    }
  }
}

/**
 * The source that a configuration names; without one, the order in which AWS' own tools look: environment, web identity
 * (IAM roles for service accounts), container credentials (EKS Pod Identity), instance role.
 * @param region for the address of the security token service
 */
export function credentialSource(
  configured: S3CredentialsConfiguration | undefined,
  region: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): CredentialSource {
  if (configured !== undefined) {
    if ('accessKeyIDFile' in configured) return new RereadCredentials(configured);
    if ('sharedCredentialsFile' in configured) return sharedFile(configured.sharedCredentialsFile, configured.profile);
    if ('roleARN' in configured) return webIdentity({ ...configured, region });
    return instanceRole({ role: configured.instanceRole, endpoint: configured.endpoint });
  }
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = env;
  if (id && secret) return fixed(id, secret, token);
  const { AWS_ROLE_ARN: roleARN, AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile } = env;
  if (roleARN && tokenFile) {
    const sessionName = env['AWS_ROLE_SESSION_NAME'] || 'sallyport';
    return webIdentity({ roleARN, tokenFile, sessionName, endpoint: env['AWS_ENDPOINT_URL_STS'] || undefined, region });
  }
  const { AWS_CONTAINER_CREDENTIALS_FULL_URI: uri } = env;
  if (uri) return podIdentity(uri, env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE']);
  return instanceRole({ role: '', endpoint: env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] || undefined });
}

function fixed(accessKeyID: string, secretAccessKey: string, sessionToken: string | undefined): CredentialSource {
  const keys = checked({ accessKeyID, secretAccessKey, sessionToken: sessionToken || undefined, expiresAt: Infinity });
  return { description: 'AWS_ACCESS_KEY_ID of the environment', load: async () => keys };
}

/** The file that `aws configure` writes. */
function sharedFile(path: string, profile: string): CredentialSource {
  return {
    description: `profile ${profile} of ${path}`,
    async load() {
      const found = new Map<string, string>();
      let inside = false;
      for (const line of (await readFile(path, 'utf8')).split('\n')) {
        const section = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line)?.[1];
        if (section !== undefined) inside = section === profile;
        const [, name, value] = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line) ?? [];
        if (inside && name !== undefined && value !== undefined) found.set(name, value);
      }
      return checked({
        accessKeyID: found.get('aws_access_key_id') ?? '',
        secretAccessKey: found.get('aws_secret_access_key') ?? '',
        sessionToken: found.get('aws_session_token'),
        // Rotated by whoever owns the file: read again now and then.
        expiresAt: Date.now() + (EARLY + 60) * 1_000,
      });
    },
  };
}
