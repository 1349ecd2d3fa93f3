/**
 * `Full`: the spool holds all it may, or its disk does. `Slow`: what waits to be written is over its bound, or was not
 * kept in time. `Failed`: the disk says so. `Ended`: this recording takes no more lines. `Unstored`: it is written, and the store
 * has not taken it in time, as durability `Remote` demands.
 */
export type SpoolFault = 'Full' | 'Slow' | 'Failed' | 'Ended' | 'Unstored';

export class SpoolError extends Error {
  readonly fault: SpoolFault;

  constructor(fault: SpoolFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SpoolError';
    this.fault = fault;
  }
}

export function asSpoolError(error: unknown): SpoolError {
  if (error instanceof SpoolError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
  return new SpoolError(full ? 'Full' : 'Failed', message, { cause: error });
}
