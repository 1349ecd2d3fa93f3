import { readFileSync } from 'node:fs';
import type { EmailConfiguration } from '../config/notifications.ts';
import { ReloadedFile } from '../kubernetes/reloaded-file.ts';
import { type Channel, deliveryError } from './channel.ts';
import { mailHTML, mailText } from './mail-body.ts';
import { headlineOf, type Message } from './notice.ts';

const TIMEOUT = 10_000;

/** E-mail by SMTP. */
export class Email implements Channel {
  readonly kind = 'Email';
  readonly name: string;
  readonly #configuration: EmailConfiguration;
  readonly #password: ReloadedFile | undefined;
  readonly #ca: string | undefined;

  /** @throws Error where a file cannot be read */
  constructor(configuration: EmailConfiguration) {
    this.name = configuration.name;
    this.#configuration = configuration;
    const { passwordFile, caFile } = configuration;
    this.#ca = caFile === undefined ? undefined : readFileSync(caFile, 'utf8');
    this.#password =
      passwordFile === undefined
        ? undefined
        : new ReloadedFile(passwordFile, {
            validate: (text) => {
              if (text.trim() === '') throw new Error(`${passwordFile}: empty`);
            },
          });
  }

  async send(message: Message, signal: AbortSignal): Promise<void> {
    const { host, port, tls, username, from, to, includeDiff } = this.#configuration;
    // Loaded by who sends mail: it is 15 MB of memory that nobody else needs.
    const { createTransport } = await import('nodemailer');
    const transport = createTransport({
      host,
      port,
      secure: tls === 'Implicit',
      requireTLS: tls === 'StartTLS',
      ignoreTLS: tls === 'None',
      tls: { minVersion: 'TLSv1.2', ...(this.#ca === undefined ? {} : { ca: this.#ca }) },
      ...(username === undefined ? {} : { auth: { user: username, pass: this.#password!.current().trim() } }),
      connectionTimeout: TIMEOUT,
      greetingTimeout: TIMEOUT,
      socketTimeout: TIMEOUT,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    const abort = (): void => transport.close();
    signal.addEventListener('abort', abort, { once: true });
    try {
      await transport.sendMail({
        from,
        to,
        subject: `[sallyport] ${headlineOf(message)}`,
        // A message that came twice is one in most programs.
        messageId: `<${message.id}@sallyport>`,
        date: message.time,
        headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
        text: mailText(message, includeDiff),
        html: mailHTML(message, includeDiff),
        encoding: 'quoted-printable',
      });
    } catch (error) {
      throw deliveryError(error);
    } finally {
      signal.removeEventListener('abort', abort);
      transport.close();
    }
  }

  async close(): Promise<void> {}
}
