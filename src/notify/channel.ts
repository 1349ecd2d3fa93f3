import type { Message } from './notice.ts';

/** One way to tell people. */
export interface Channel {
  /** From the configuration. */
  readonly name: string;
  readonly kind: 'Slack' | 'Webhook' | 'Email';
  /** @throws DeliveryError */
  send(message: Message, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** A message that was not taken. The text is ours, or a code: URLs and passwords are never in it. */
export class DeliveryError extends Error {
  /** Milliseconds that the receiver asks to wait. */
  readonly retryAfter: number | undefined;

  constructor(message: string, retryAfter?: number) {
    super(message);
    this.name = 'DeliveryError';
    this.retryAfter = retryAfter;
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** Whatever a library throws, as a DeliveryError: libraries put URLs and answers into their messages. */
export function deliveryError(error: unknown): DeliveryError {
  if (error instanceof DeliveryError) return error;
  const thrown = (error ?? {}) as Fields;
  const { name, responseCode } = thrown;
  // nodemailer keeps the cause of an ESOCKET there.
  const code = thrown['originalCode'] ?? thrown['code'];
  const answer = typeof responseCode === 'number' ? ` (${responseCode})` : '';
  if (typeof code === 'string' && /^[A-Z0-9_]{1,60}$/.test(code)) return new DeliveryError(`${code}${answer}`);
  if (name === 'TimeoutError' || name === 'AbortError') return new DeliveryError('no answer in time');
  return new DeliveryError('failed');
}
