import type { Endpoint } from './endpoint.ts';

/** A proxy under measurement: a process (and its children) between the clients and the API server. */
export interface RunningProxy {
  readonly endpoint: Endpoint;
  readonly pid: number;
  /** There is no API server behind it: nothing that changes is told. */
  readonly answersItself?: boolean;
  stop(): Promise<void>;
}
