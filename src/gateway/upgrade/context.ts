import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { SallyportError } from '../../errors.ts';
import type { Operation } from '../../request/operation.ts';
import type { Channel } from '../../streams/remote-command/channel.ts';
import type { ExitStatus } from '../../streams/remote-command/exit-status.ts';

/** An upgrade that was identified and decided on, with all that bridging it needs. */
export interface UpgradeContext {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What the client sent behind its request already. */
  readonly head: Buffer;
  readonly operation: Operation;
  readonly requestID: string;
  readonly upstream: UpgradeUpstream;
  /** Headers for whatever is answered (`Audit-ID` and its kin): flat (name, value, …). */
  readonly answerHeaders: readonly string[];
  /**
   * Judges one port of a port-forward before it opens; called for every stream, because streams live for hours.
   * @throws SallyportError to refuse this port; the other ports live on.
   */
  judgePort(port: number): Promise<void>;
  /** The first byte goes to the API server. */
  onSent?(): void;
  /** The API server's answer: 101, or the status with which it declined. */
  onAnswer?(status: number): void;
  /** Aborted when the stream must end; its reason, a SallyportError, is what the client is told. */
  readonly signal: AbortSignal;
  readonly limits: UpgradeLimits;
  /** The async transform of a channel of exec and attach (masking, recording); none: bytes pass as they are. */
  readonly tap: ((channel: Channel) => ChannelTap | undefined) | undefined;
}

/** Where the API server is, and the headers of this caller's request to it. */
export interface UpgradeUpstream {
  /** `https:`, host, port; no path. */
  readonly origin: URL;
  readonly tls: {
    readonly ca: string | undefined;
    readonly cert: string | undefined;
    readonly key: string | undefined;
    readonly serverName: string | undefined;
  };
  /** Forwarded headers with the identity last, asserted: flat (name, value, …). Nothing of the upgrade itself is in it. */
  headers(): readonly string[];
  /** Milliseconds for TCP and TLS. */
  readonly connectTimeout: number;
  /** Milliseconds from the request to its answer. */
  readonly answerTimeout: number;
}

export interface UpgradeLimits {
  /** Milliseconds after which a quiet connection gets a ping. */
  readonly pingInterval: number;
  /** Milliseconds; no stream lives longer. */
  readonly maxDuration: number;
  /** Streams of one port-forward at the same time. */
  readonly maxPortStreams: number;
}

/**
 * The seam of masking and recording: takes what passes on a channel, gives what passes on. While a promise is open the side
 * that sends is not read. An error ends the session (fail closed): the client is told its message.
 */
export interface ChannelTap {
  /**
   * Called once, before anything else, with ways to pass something on or to fail between two writes, as when a prompt was held
   * back and nothing follows it. While a promise of this tap is open, what is passed goes before what that promise gives.
   * Not to be used after the end.
   */
  later?(ways: LaterWays): void;
  /** The chunk is the tap's to keep, not to change. Undefined: nothing passes for now. */
  write(chunk: Buffer): Buffer | undefined | Promise<Buffer | undefined>;
  /** The channel has ended: what was held back. */
  end(): Buffer | undefined | Promise<Buffer | undefined>;
  /** The session was cut off: nothing that is still held will pass. */
  cut?(): void;
}

export interface LaterWays {
  pass(bytes: Buffer): void;
  fail(error: unknown): void;
}

/** What became of an upgrade. */
export interface UpgradeOutcome {
  /** 101, or the status with which the API server declined, relayed as it was. */
  readonly status: number;
  /** Towards the client, e.g. `websocket v5.channel.k8s.io`; '' when none was agreed on. */
  readonly protocol: string;
  readonly upstreamProtocol: string;
  readonly endedBy: 'upstream' | 'client' | 'gateway';
  /** Why the gateway or a broken peer ended it. */
  readonly error: SallyportError | undefined;
  readonly exit: ExitStatus | undefined;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  /** Ports that were opened, each once. */
  readonly ports: readonly number[];
}
