import { createHash, generateKeyPairSync } from 'node:crypto';

/** Values that a layout holds: what must go, and what must stay. */
export interface Values {
  readonly secrets: { readonly kind: string; readonly value: string; readonly structured: boolean }[];
  readonly survivors: string[];
}

const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const DIGITS = '0123456789';
const ALNUM = LOWER + LOWER.toUpperCase() + DIGITS;
const HEX = '0123456789abcdef';
const WORDS = ['harbor', 'lantern', 'meadow', 'quartz', 'saddle', 'timber', 'velvet', 'willow', 'copper', 'falcon'];

/** Makes secrets and what only looks like one, from a seed; tells the values of one document what it made. */
export class Mint {
  #state: number;
  values: Values = { secrets: [], survivors: [] };

  constructor(seed: number) {
    this.#state = seed * 2_654_435_761 + 1;
  }

  begin(): Values {
    this.values = { secrets: [], survivors: [] };
    return this.values;
  }

  int(below: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 4_294_967_296) * below);
  }

  pick<T>(of: readonly T[]): T {
    return of[this.int(of.length)]!;
  }

  chars(length: number, alphabet = ALNUM): string {
    return Array.from({ length }, () => alphabet[this.int(alphabet.length)]).join('');
  }

  hex(length: number): string {
    return this.chars(length, HEX);
  }

  word(): string {
    return this.pick(WORDS);
  }

  #secret(kind: string, value: string, structured: boolean): string {
    this.values.secrets.push({ kind, value, structured });
    return value;
  }

  /** As people choose them, or as generators do, without what would need quoting. */
  password(): string {
    const value = this.pick([
      () => `${this.word()}-${this.word()}-${this.int(9000) + 1000}`,
      () => `${this.word()[0]!.toUpperCase()}${this.chars(7)}${this.int(90) + 10}`,
      () => this.chars(16 + this.int(16)),
      () => `${this.chars(6)}!${this.chars(4)}_${this.int(100)}`,
      () => `${this.chars(8)}.${this.chars(8)}`,
    ])();
    return this.#secret('password', value, false);
  }

  /** A key that has no form of its own. */
  key(): string {
    const value = this.pick([
      () => this.hex(32),
      () => this.hex(40),
      () => this.chars(32),
      () => Buffer.from(this.chars(30)).toString('base64'),
      () => `${this.hex(8)}-${this.hex(4)}-4${this.hex(3)}-a${this.hex(3)}-${this.hex(12)}`,
    ])();
    return this.#secret('key', value, false);
  }

  /** A token whose form says whose it is. */
  token(): string {
    const [kind, value] = this.pick(TOKENS)(this);
    return this.#secret(kind, value, true);
  }

  jwt(): string {
    const part = (of: object): string => Buffer.from(JSON.stringify(of)).toString('base64url');
    const head = { alg: this.pick(['RS256', 'HS256', 'ES256']), typ: 'JWT', kid: this.hex(8) };
    const body = { sub: this.word(), iss: 'https://issuer.example', exp: 1_800_000_000 + this.int(1e6) };
    return this.#secret('jwt', `${part(head)}.${part(body)}.${this.chars(64, `${ALNUM}-_`)}`, true);
  }

  /** Lines of a private key, whole: what must not be seen are the lines of its body. */
  pem(): string {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const type = this.pick(['pkcs8', 'sec1'] as const);
    const text = privateKey.export({ type, format: 'pem' }).toString().trimEnd();
    for (const line of text.split('\n').slice(1, -1)) this.#secret('private-key', line, true);
    return text;
  }

  basic(): string {
    return this.#secret('basic', Buffer.from(`${this.word()}:${this.chars(18)}`).toString('base64'), true);
  }

  wireguard(): string {
    return this.#secret('wireguard', `${this.chars(43)}=`, true);
  }

  /** A private key in a kubeconfig: a whole file in base64. */
  keyData(): string {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const text = privateKey.export({ type: 'sec1', format: 'pem' }).toString();
    return this.#secret('client-key-data', Buffer.from(text).toString('base64'), true);
  }

  /** data of a Secret as YAML shows it. */
  dataOf(): string {
    return this.#secret(
      'secret-data',
      Buffer.from(`${this.word()} ${this.word()} ${this.word()}`).toString('base64'),
      true,
    );
  }

  secretHex(): string {
    return this.#secret('dsn-key', this.hex(32), false);
  }

  keep(value: string): string {
    this.values.survivors.push(value);
    return value;
  }

  sha256(): string {
    return this.keep(this.hex(64));
  }

  uuid(): string {
    return this.keep(`${this.hex(8)}-${this.hex(4)}-4${this.hex(3)}-b${this.hex(3)}-${this.hex(12)}`);
  }

  image(): string {
    return this.keep(`registry.example/${this.word()}/${this.word()}@sha256:${this.hex(64)}`);
  }

  host(): string {
    return this.keep(`${this.word()}-${this.int(9)}.${this.word()}.svc.cluster.local`);
  }

  certificate(): string {
    const body = Buffer.from(createHash('sha512').update(this.hex(20)).digest('hex').repeat(3)).toString('base64');
    const lines = body.match(/.{1,64}/g)!;
    for (const line of lines) this.keep(line);
    return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----'].join('\n');
  }

  sshPublicKey(): string {
    return this.keep(`ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${this.chars(43)} ${this.word()}@${this.word()}`);
  }

  picture(): string {
    return this.keep(`data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAA${this.chars(200, `${ALNUM}+/`)}`);
  }

  version(): string {
    return this.keep(`v${this.int(9)}.${this.int(30)}.${this.int(20)}-rc.${this.int(5)}+build.${this.hex(7)}`);
  }

  placeholder(): string {
    return this.keep(
      this.pick([
        `$${'{DB_PASSWORD}'}`,
        '<redacted>',
        '{{ .Values.db.password }}',
        '$(API_TOKEN)',
        '********',
        '%(password)s',
        '[REDACTED]',
      ]),
    );
  }
}

type Token = (mint: Mint) => readonly [kind: string, value: string];

/** Forms that issuers document; prefixes are put together here, so that no file holds a whole one. */
const TOKENS: readonly Token[] = [
  (m) => ['github', `gh${m.pick(['p', 'o', 's'])}_${m.chars(36)}`],
  (m) => ['github-fine', `github_${'pat'}_${m.chars(22)}_${m.chars(59)}`],
  (m) => ['gitlab', `gl${'pat'}-${m.chars(20)}`],
  (m) => ['aws-id', `AK${'IA'}${m.chars(16, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567')}`],
  (m) => ['slack', `xo${'xb'}-${m.chars(12, DIGITS)}-${m.chars(12, DIGITS)}-${m.chars(24)}`],
  (m) => ['stripe', `${m.pick(['sk', 'rk'])}_${'live'}_${m.chars(24)}`],
  (m) => ['google', `AI${'za'}${m.chars(35, `${ALNUM}-_`)}`],
  (m) => ['google-secret', `GOC${'SPX'}-${m.chars(28)}`],
  (m) => ['npm', `np${'m'}_${m.chars(36)}`],
  (m) => ['pypi', `py${'pi'}-AgEIcHlwaS5vcmc${m.chars(100)}`],
  (m) => ['sendgrid', `S${'G'}.${m.chars(22)}.${m.chars(43)}`],
  (m) => ['twilio', `S${'K'}${m.hex(32)}`],
  (m) => ['openai', `sk-${'proj'}-${m.chars(60)}T3Blbk${'FJ'}${m.chars(60)}`],
  (m) => ['anthropic', `sk-${'ant'}-api03-${m.chars(93)}AA`],
  (m) => ['huggingface', `h${'f'}_${m.chars(34)}`],
  (m) => ['vault', `hv${'s'}.${m.chars(90)}`],
  (m) => ['digitalocean', `do${'p'}_v1_${m.hex(64)}`],
  (m) => ['databricks', `da${'pi'}${m.hex(32)}`],
  (m) => ['grafana', `gl${'sa'}_${m.chars(32)}_${m.hex(8)}`],
  (m) => ['shopify', `sh${'pat'}_${m.hex(32)}`],
  (m) => ['postman', `PM${'AK'}-${m.hex(24)}-${m.hex(34)}`],
  (m) => ['linear', `lin${'_api'}_${m.chars(40)}`],
  (m) => ['newrelic', `NR${'AK'}-${m.chars(27, LOWER.toUpperCase() + DIGITS)}`],
  (m) => ['dockerhub', `dck${'r'}_pat_${m.chars(27)}`],
  (m) => ['doppler', `dp.${'pt'}.${m.chars(43)}`],
  (m) => ['age', `AGE-${'SECRET'}-KEY-1${m.chars(58, 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L')}`],
  (m) => ['mailchimp', `${m.hex(32)}-us${m.int(20) + 1}`],
  (m) => ['telegram', `${m.chars(10, '123456789')}:AA${m.chars(33, `${ALNUM}-_`)}`],
  (m) => ['azure-client', `${m.chars(3)}8Q~${m.chars(34)}`],
  (m) => ['terraform', `${m.chars(14)}.atlas${'v1'}.${m.chars(67)}`],
  (m) => ['openshift', `sha${'256'}~${m.chars(43, `${ALNUM}-_`)}`],
  (m) => ['sourcegraph', `sg${'p'}_${m.hex(16)}_${m.hex(40)}`],
  (m) => ['circleci', `CCI${'PAT'}_${m.chars(22)}_${m.hex(40)}`],
  (m) => ['sonar', `sq${'u'}_${m.hex(40)}`],
  (m) => ['buildkite', `bk${'ua'}_${m.hex(40)}`],
  (m) => ['netlify', `nf${'p'}_${m.chars(36)}`],
  (m) => ['hubspot', `pat-${'na1'}-${m.hex(8)}-${m.hex(4)}-${m.hex(4)}-${m.hex(4)}-${m.hex(12)}`],
  (m) => ['octopus', `AP${'I'}-${m.chars(26, LOWER.toUpperCase() + DIGITS)}`],
  (m) => ['frameio', `fio-${'u'}-${m.chars(64)}`],
  (m) => ['shippo', `shippo_${'live'}_${m.hex(40)}`],
  (m) => ['langsmith', `lsv2_${'pt'}_${m.hex(32)}_${m.hex(10)}`],
  (m) => ['pinecone', `pc${'sk'}_${m.chars(6)}_${m.chars(56)}`],
  (m) => ['defined', `dn${'key'}-${m.chars(26)}-${m.chars(52)}`],
  (m) => ['deepseek', `s${'k'}-${m.hex(32)}`],
  (m) => ['bitbucket', `AT${'BB'}${m.chars(32)}`],
  (m) => ['maxmind', `${m.chars(6)}_${m.chars(29)}_${'mmk'}`],
  (m) => ['scalingo', `tk-${'us'}-${m.chars(48)}`],
  (m) => ['mapbox', `s${'k'}.eyJ1Ijoi${m.chars(60)}.${m.chars(22)}`],
];
