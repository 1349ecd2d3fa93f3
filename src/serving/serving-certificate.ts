import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Note } from '../observe/probes.ts';
import type { CertificateSource } from './certificate-source.ts';
import { CIPHER_ORDER } from './cipher-order.ts';

/** Milliseconds between two looks: short enough that a rotation is everywhere before anyone asks for it. */
const INTERVAL = 5_000;
const WAITING_INTERVAL = 500;
/** How often a wait is told of. */
const WAITING_TOLD = 15_000;

export interface ServingCertificateOptions {
  /** The key of the configuration, for errors and metrics: `listen.tls`. */
  readonly name: string;
  readonly source: CertificateSource;
  /** Authorities of clients, where any are asked for; re-read as well. */
  readonly clientCAFile?: string | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
}

interface Taker {
  setSecureContext(options: SecureContextOptions): void;
}

/**
 * The certificate of a server, exchanged while it serves: new connections get the new one, open ones go on. What cannot
 * serve (a half-written pair, a Secret that is gone) is never taken; the last good one stays and the next look may be better.
 */
export class ServingCertificate {
  readonly #options: ServingCertificateOptions;
  readonly #takers = new Set<Taker>();
  #material: SecureContextOptions;
  #problem: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: ServingCertificateOptions, material: SecureContextOptions) {
    this.#options = options;
    this.#material = material;
    this.#measure();
  }

  /**
   * Reads it, and waits for a Secret that somebody is about to fill.
   * @throws Error with one line that names the file or the Secret
   */
  static async load(options: ServingCertificateOptions): Promise<ServingCertificate> {
    const { log, name, source } = options;
    let told = Number.NEGATIVE_INFINITY;
    for (;;) {
      const material = await read(options);
      if (material !== undefined) {
        mustFit(material, options);
        const certificate = new ServingCertificate(options, material);
        certificate.#lookLater();
        return certificate;
      }
      if (performance.now() - told > WAITING_TOLD) {
        log.warn({ key: name }, `not serving yet: ${source.description} is not there; it is waited for`);
        told = performance.now();
      }
      await new Promise((resolve) => setTimeout(resolve, WAITING_INTERVAL));
    }
  }

  /** For the server's constructor. */
  get material(): SecureContextOptions {
    return this.#material;
  }

  /** Whether clients can take it: none connects to one that has ended. */
  check(): Note | string {
    const expiry = expiryOf(this.#material);
    if (expiry === undefined) return 'it has no end that can be read';
    if (expiry.getTime() <= Date.now()) return `it ended at ${expiry.toISOString()}`;
    const trouble = this.#problem === undefined ? '' : `; the next one cannot be taken: ${this.#problem}`;
    return { note: `good until ${expiry.toISOString()}${trouble}` };
  }

  /** The server gets every later certificate, until `stop`. */
  attach(server: Taker): void {
    this.#takers.add(server);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#takers.clear();
  }

  /** Looks now; never rejects. */
  async look(): Promise<void> {
    const { log, name } = this.#options;
    try {
      const material = await read(this.#options);
      if (material === undefined) throw new Error(`${this.#options.source.description} is gone`);
      if (isSame(material, this.#material)) {
        this.#problem = undefined;
        return;
      }
      mustFit(material, this.#options);
      for (const server of this.#takers) server.setSecureContext(material);
      this.#material = material;
      this.#problem = undefined;
      this.#measure();
      log.info({ key: name, notAfter: expiryOf(material)?.toISOString() }, 'a new certificate serves');
    } catch (error) {
      const problem = (error as Error).message;
      if (problem !== this.#problem) log.warn({ key: name, problem }, 'the certificate that serves goes on serving');
      this.#problem = problem;
    }
  }

  #lookLater(): void {
    this.#timer = setTimeout(async () => {
      await this.look();
      if (this.#timer !== undefined) this.#lookLater();
    }, INTERVAL).unref();
  }

  #measure(): void {
    const expiry = expiryOf(this.#material);
    if (expiry !== undefined) this.#options.metrics.certificateExpiry.set(expiry.getTime() / 1_000, this.#options.name);
  }
}

async function read({ source, clientCAFile }: ServingCertificateOptions): Promise<SecureContextOptions | undefined> {
  const pair = await source.read();
  if (pair === undefined) return undefined;
  // With the certificate, because a later one takes all of a server's terms with it.
  const material = { ...pair, ...CIPHER_ORDER };
  return clientCAFile === undefined ? material : { ...material, ca: await readFile(clientCAFile, 'utf8') };
}

const isSame = (a: SecureContextOptions, b: SecureContextOptions): boolean =>
  a.cert === b.cert && a.key === b.key && a.ca === b.ca;

/** OpenSSL's own words name no file. @throws Error with one line that does */
function mustFit(material: SecureContextOptions, { name, source }: ServingCertificateOptions): void {
  try {
    createSecureContext(material);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${name}: ${source.description} do not fit: ${reason}`);
  }
}

/** Of the leaf, which stands first. */
function expiryOf({ cert }: SecureContextOptions): Date | undefined {
  try {
    return new X509Certificate(cert as string).validToDate;
  } catch {
    return undefined;
  }
}
