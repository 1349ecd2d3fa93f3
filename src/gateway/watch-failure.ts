import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';

export interface WatchFailureOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Told of every failure of a watch; it is begun anew whatever happens. */
  readonly onFailure?: (error: Error) => void;
}

/** What the gateway does about a failure of an informer of this name, which goes on by itself. */
export function watchFailure(options: WatchFailureOptions, name: string): (error: Error, failures: number) => void {
  return (error, failures) => {
    options.metrics.watchFailures.inc(name);
    options.log.warn({ error, failures, informer: name }, 'a watch failed and is begun anew');
    options.onFailure?.(error);
  };
}
