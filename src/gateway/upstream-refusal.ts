/**
 * The API server's own refusal of what was asked in the caller's name before a decision (a dry run): the request itself
 * would be answered alike, so the answer is passed on as it is, and tools see the status they know what to do with.
 */
export class UpstreamRefusal extends Error {
  readonly status: number;
  readonly body: Buffer;

  constructor(status: number, body: Buffer) {
    super(`the API server answered ${status}`);
    this.name = 'UpstreamRefusal';
    this.status = status;
    this.body = body;
  }
}
