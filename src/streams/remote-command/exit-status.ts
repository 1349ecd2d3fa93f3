/** How a remote command ended, as the Status on its error channel says. */
export interface ExitStatus {
  readonly success: boolean;
  /** Set when the command ran and ended with a code of its own. */
  readonly exitCode: number | undefined;
  readonly reason: string;
  readonly message: string;
}

/** Reads the error channel's Status (v4 and later); undefined for what is none. */
export function readExitStatus(document: Buffer): ExitStatus | undefined {
  let status: unknown;
  try {
    status = JSON.parse(document.toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isRecord(status) || (status['status'] !== 'Success' && status['status'] !== 'Failure')) return undefined;
  const success = status['status'] === 'Success';
  return {
    success,
    exitCode: success ? 0 : exitCode(status),
    reason: text(status['reason']),
    message: text(status['message']),
  };
}

function exitCode(status: Record<string, unknown>): number | undefined {
  const { reason, details } = status;
  const causes = isRecord(details) ? details['causes'] : undefined;
  if (reason !== 'NonZeroExitCode' || !Array.isArray(causes)) return undefined;
  for (const cause of causes as unknown[]) {
    if (!isRecord(cause) || cause['reason'] !== 'ExitCode') continue;
    const code = text(cause['message']);
    if (/^\d{1,3}$/.test(code) && Number(code) <= 255) return Number(code);
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
