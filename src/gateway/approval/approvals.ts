import type { GatewayConfiguration } from '../../config/gateway.ts';
import { Approved } from '../../identity/approved.ts';
import type { UpstreamName } from '../../identity/upstream-name.ts';
import type { Informer } from '../../kubernetes/informer.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import type { Forward } from '../../upstream/forward.ts';
import { Guard } from '../../upstream/guard.ts';
import type { Own } from '../../upstream/own.ts';
import type { Evidence } from '../evidence.ts';
import type { Exchange } from '../exchange.ts';
import type { Masking } from '../masking/masking.ts';
import { type WatchFailureOptions, watchFailure } from '../watch-failure.ts';
import { Asker } from './asker.ts';
import { Audit } from './audit.ts';
import { ApprovalBook } from './book.ts';
import { DirectoryDiffStore } from './diff-store.ts';
import { Differ } from './differ.ts';
import { ApprovalGate } from './gate.ts';
import { Holds } from './holds.ts';
import { LiveStreams } from './live-streams.ts';
import { Outcomes } from './outcomes.ts';
import { Taker } from './taker.ts';
import { Targets } from './target.ts';
import { mustStand } from './unavailable.ts';

export interface ApprovalsOptions extends WatchFailureOptions {
  readonly configuration: GatewayConfiguration['approvals'];
  readonly installationKey: Buffer;
  readonly transport: Transport;
  readonly own: Own;
  readonly forward: Forward;
  decide(exchange: Exchange): Promise<void>;
  readonly evidence: Evidence;
  readonly masking: Masking;
  via(name: UpstreamName): string;
  servedByAPIServer(group: string, version: string): boolean;
}

export interface Approvals {
  readonly gate: ApprovalGate;
  readonly informer: Informer<unknown>;
  /** What both legs know of approvals. */
  readonly book: ApprovalBook;
  readonly differ: Differ;
  /** @throws SallyportError while nothing in the API server proves who wrote a decision */
  mustStand(): Promise<void>;
  start(): Promise<void>;
  /** For readiness. */
  check(): true | string;
  stop(): Promise<void>;
}

/** Puts together what approvals take in the gateway. */
export function approvals(options: ApprovalsOptions): Approvals {
  const { configuration, own, log, metrics, installationKey: key, evidence } = options;
  const audit = new Audit(log, metrics);
  const book = new ApprovalBook({
    transport: options.transport,
    ...configuration,
    onFailure: watchFailure(options, 'ApprovalRequest'),
  });
  const targets = new Targets({ ...options, key });
  const { diffDirectory } = configuration;
  const diffs =
    diffDirectory === undefined
      ? undefined
      : new DirectoryDiffStore(diffDirectory, (error) => log.error({ error }, 'a diff could not be kept'));
  const differ = new Differ();
  const asker = new Asker({
    own,
    book,
    targets,
    audit,
    differ,
    diffs,
    masking: options.masking,
    ...configuration,
    retryAfter: configuration.retryAfter / 1_000,
  });
  const outcomes = new Outcomes(own, book, audit, (error, request) =>
    log.error(
      { error, approval: `${request.metadata.namespace}/${request.metadata.name}` },
      'what came of a use could not be written down; it will count as unknown',
    ),
  );
  const guard = new Guard(own, log, metrics);
  const holds = new Holds(configuration.holdsPerCaller);
  metrics.beforeScrape(() => {
    metrics.approvalHolds.set(holds.size);
    metrics.approvalsPending.set(book.pending(Date.now()));
  });
  const gate = new ApprovalGate({
    book,
    asker,
    taker: new Taker({ own, book, targets, audit, mustStand: () => mustStand(guard) }),
    holds,
    outcomes,
    streams: new LiveStreams(book, audit, configuration.streamLimit),
    mustStand: () => mustStand(guard),
    decide: options.decide,
    evidence,
    own,
    approved: new Approved(key),
    audit,
    metrics,
    key,
  });
  return {
    gate,
    informer: book.informer as Informer<unknown>,
    book,
    differ,
    mustStand: () => mustStand(guard),
    start: () => book.start(),
    check: () => book.check(),
    stop: async () => {
      await outcomes.stop();
      await differ.stop();
      await book.stop();
    },
  };
}
