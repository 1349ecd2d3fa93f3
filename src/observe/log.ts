import {
  type Bindings,
  type ChildLoggerOptions,
  type DestinationStream,
  destination,
  type Logger,
  type LoggerOptions,
  pino,
  stdTimeFunctions,
} from 'pino';
import { redactFields, redactText } from './redact.ts';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Bytes that are gathered before they are written, and the milliseconds after which fewer are: a write for each line costs a wake-up. */
const GATHERED = 8 << 10;
const GATHERED_FOR = 100;
/** Bytes that wait for a reader of the log who does not read; after that lines are dropped, never the gateway's memory. */
const MAX_WAITING = 16 << 20;

/**
 * The process's log: one JSON object a line. Everything that is written passes `redact`: credentials are hidden by name
 * and by form, and what callers wrote is escaped. Lines about a request come from `log.child({ requestID })`.
 * @param stream for tests; stdout, written in the background, when left out.
 */
export function createLog(level: LogLevel, stream?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    messageKey: 'message',
    errorKey: 'error',
    // Errors were described by `redactFields` already; pino's own would add to that.
    serializers: { err: (value: unknown) => value },
    formatters: {
      level: (label) => ({ level: label }),
      log: redactFields,
    },
    hooks: {
      logMethod(args, method) {
        const safe = (args as unknown[]).map((argument) =>
          typeof argument === 'string' ? redactText(argument) : argument,
        );
        // Without a text of its own the line would take the error's message, unredacted.
        const [first] = safe;
        const error = first instanceof Error ? first : (first as { error?: unknown } | null | undefined)?.error;
        if (first instanceof Error) safe[0] = { error };
        if (error instanceof Error && safe.length === 1) safe.push(redactText(error.message));
        method.apply(this, safe as Parameters<typeof method>);
      },
    },
  };
  const log = pino(
    options,
    stream ??
      destination({ dest: 1, sync: false, maxLength: MAX_WAITING, minLength: GATHERED, periodicFlush: GATHERED_FOR }),
  );
  // pino formats neither the fields of a child nor those added later; children of children inherit this.
  const child = log.child as unknown as (fields: Bindings, more?: ChildLoggerOptions) => Logger;
  const redacting = function (this: Logger, fields: Bindings, more?: ChildLoggerOptions): Logger {
    return child.call(this, redactFields(fields), more);
  };
  log.child = redacting as unknown as Logger['child'];
  return log;
}

/** For parts that log only where they are given a log. */
export const SILENT: Logger = pino({ level: 'silent' });
