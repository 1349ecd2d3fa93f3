/** WebSocket close codes (RFC 6455, 7.4.1) that this gateway sends. */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  invalidPayload: 1007,
  policyViolation: 1008,
  tooBig: 1009,
  internalError: 1011,
} as const;

/**
 * A peer broke the framing. The connection cannot be understood any further: it is answered with the close code
 * (GOAWAY in SPDY) and ended. `message` names the rule, never the bytes: they may be a secret.
 */
export class StreamProtocolError extends Error {
  readonly closeCode: number;

  constructor(message: string, closeCode: number = CloseCode.protocolError) {
    super(message);
    this.name = 'StreamProtocolError';
    this.closeCode = closeCode;
  }
}
