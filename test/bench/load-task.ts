import type { Endpoint, Protocol } from './endpoint.ts';

/** What the load process is asked to do, by name; each gives its result back. */
export interface LoadTasks {
  open(endpoint: Endpoint, protocol: Protocol, connections: number): number;
  close(channel: number): void;
  /** Requests per second, closed loop. */
  saturate(channel: number, path: string, parallel: number, seconds: number): number;
  /** The same for exactly so many requests. */
  repeat(channel: number, path: string, parallel: number, count: number): number;
  paced(channel: number, path: string, rate: number, seconds: number): { latencies: Float64Array; failed: number };
  /** Reads one answer, up to its end or, where given, up to the bytes that end what is wanted of a stream. */
  read(channel: number, path: string, until?: string): { milliseconds: number; bytes: number };
  /** So many more. */
  openWatches(endpoint: Endpoint, protocol: Protocol, path: string, count: number, perConnection: number): void;
  /** Changes the object by a merge patch sent to `writer`; gives the delay of each watch, in milliseconds. */
  fanOut(writer: Endpoint, object: string): number[];
  closeWatches(): void;
}

export interface LoadRequest {
  readonly id: number;
  readonly task: keyof LoadTasks;
  readonly input: readonly unknown[];
}

export interface LoadResponse {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}
