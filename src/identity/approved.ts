import { createHmac, timingSafeEqual } from 'node:crypto';

/** On an approved request alone: by it admission knows that a person let this operation through. */
export const EXTRA_APPROVED = 'sallyport.dev/approved';

/** Which operation was approved, in words that the gateway and admission both know. */
export interface ApprovedOperation {
  readonly username: string;
  readonly uid: string;
  readonly apiGroup: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  /** '' where the path names none (creates by POST, collections). */
  readonly name: string;
}

/**
 * The value of `sallyport.dev/approved`: `<namespace>/<name of the ApprovalRequest>.<expiry>.<HMAC-SHA-256>` over the
 * approval, the operation as the impersonated user asks it, and the expiry in Unix seconds.
 */
export class Approved {
  readonly #key: Uint8Array;

  /** @param key the installation key, at least 32 bytes, the same on every replica and in the webhook. */
  constructor(key: Uint8Array) {
    if (key.length < 32) throw new RangeError('the key of the approved extra needs at least 32 bytes');
    this.#key = key;
  }

  /** @param expiry Unix milliseconds */
  of(approval: string, operation: ApprovedOperation, expiry: number): string {
    const seconds = Math.floor(expiry / 1000);
    return `${approval}.${seconds}.${this.#mac(approval, operation, seconds).toString('base64url')}`;
  }

  /**
   * @param now Unix milliseconds
   * @returns the approval (`namespace/name`); undefined for a value that was not made for this operation, or is too old
   */
  verify(value: string, operation: ApprovedOperation, now: number): string | undefined {
    const match = /^([a-z0-9-]{1,63}\/ar-[0-9a-z]{10}-\d{1,9})\.(\d{1,12})\.([A-Za-z0-9_-]{43})$/.exec(value);
    if (match === null) return undefined;
    const [, approval, expiry, mac] = match as unknown as [string, string, string, string];
    if (!(now < Number(expiry) * 1000)) return undefined;
    const expected = this.#mac(approval, operation, Number(expiry));
    return timingSafeEqual(Buffer.from(mac, 'base64url'), expected) ? approval : undefined;
  }

  #mac(approval: string, operation: ApprovedOperation, seconds: number): Buffer {
    const { username, uid, apiGroup, resource, subresource, namespace, name } = operation;
    const parts = [EXTRA_APPROVED, approval, seconds, username, uid];
    // JSON keeps the parts from running into each other.
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([...parts, apiGroup, resource, subresource, namespace, name]))
      .digest();
  }
}
