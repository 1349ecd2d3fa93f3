import type { Server } from 'node:http';
import { hostname } from 'node:os';
import type { GatewayConfiguration } from '../config/gateway.ts';
import { SallyportError } from '../errors.ts';
import { type Authenticator, createAuthenticator } from '../identity/authenticator.ts';
import { installationKey } from '../identity/installation-key.ts';
import type { SecretStore } from '../identity/session-key.ts';
import { Via } from '../identity/upstream-name.ts';
import { isStatus } from '../kubernetes/api-error.ts';
import { locate } from '../kubernetes/locate.ts';
import { PolicyStatusWriter } from '../kubernetes/policy-status-writer.ts';
import { ownKinds, requireKinds } from '../kubernetes/served-kinds.ts';
import { requireVersion } from '../kubernetes/server-version.ts';
import { Transport } from '../kubernetes/transport.ts';
import { Placeholders } from '../masking/marker.ts';
import type { Logger } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { Checks, probeServer } from '../observe/probes.ts';
import { startTracing } from '../observe/tracing.ts';
import { certificateSource } from '../serving/certificate-source.ts';
import { ServingCertificate } from '../serving/serving-certificate.ts';
import { Forward } from '../upstream/forward.ts';
import { Own } from '../upstream/own.ts';
import { secretStore } from '../upstream/secret-store.ts';
import { AgentSessions } from './agent-sessions.ts';
import { type Approvals, approvals } from './approval/approvals.ts';
import { Endpoints } from './endpoints.ts';
import { Evidence } from './evidence.ts';
import { clientSocket, type Exchange } from './exchange.ts';
import { Judge } from './judge.ts';
import { CallerLimits } from './limits.ts';
import { LiveExchanges } from './live.ts';
import { HelmSources } from './masking/helm-sources.ts';
import { LiteralLimit } from './masking/literal-limit.ts';
import { Masking } from './masking/masking.ts';
import { maskingKey } from './masking/masking-key.ts';
import { MaskingRules } from './masking/masking-rules.ts';
import { ObjectReader } from './masking/object-reader.ts';
import { PrinterColumns } from './masking/printer-columns.ts';
import { RuleStatusWriter } from './masking/rule-status.ts';
import { WriteBack } from './masking/write-back.ts';
import { Observer } from './observer.ts';
import { Pipeline } from './pipeline.ts';
import { Policies } from './policies.ts';
import { NO_RECORDER, recordingStage } from './recording/recorder.ts';
import { Recording } from './recording/recording.ts';
import { FrontDoor } from './server.ts';
import { Upgrades } from './upgrades.ts';

export interface RunningGateway {
  readonly port: number;
  readonly probePort: number;
  /** What the second leg asks too. */
  readonly policies: Policies;
  readonly installationKey: Buffer;
  readonly secrets: SecretStore;
  readonly own: Own;
  readonly approvals: Pick<Approvals, 'book' | 'differ' | 'mustStand'>;
  readonly masking: Masking;
  /** Not ready, drain, GOAWAY, streams given their deadline, then everything ends. */
  stop(): Promise<void>;
}

/**
 * Starts the gateway: resolves when it serves. Until the first whole list of policies it answers 503 to everyone.
 * @throws Error with one line saying what is wrong: a file, a permission, an API server out of reach.
 */
export async function startGateway(
  configuration: GatewayConfiguration,
  log: Logger,
  version: string,
  metrics = new Metrics(version),
  readiness = new Checks(),
): Promise<RunningGateway> {
  const { upstream, listen, probes, identity, limits, streams, shutdown } = configuration;
  const liveness = new Checks();
  const connection = locate({
    kubeconfig: upstream.kubeconfig,
    context: upstream.context,
    onError: (error) => log.warn({ error }, 'a credential file could not be re-read; the last good one stays in use'),
  });
  const transport = new Transport(connection, {
    connectTimeout: upstream.connectTimeout,
    userAgent: `sallyport/${version}`,
    onAnswer: ({ verb, what }, code) => metrics.ownRequests.inc(verb, what, String(code)),
  });
  const own = new Own(transport, upstream.namespace);
  const forward = new Forward(connection, upstream);
  await requireVersion(transport);
  await requireKinds(transport, ownKinds(configuration.recording.enabled));
  const secrets = secretStore(own);
  const key = await installationKey(secrets);
  const clientCAFile = identity.clientCertificates?.caFile;
  const certificate = await ServingCertificate.load({
    name: 'listen.tls',
    source: certificateSource(listen.tls, secrets),
    clientCAFile,
    log,
    metrics,
  });

  // What RBAC does not give will not come by waiting: a start that needs it fails, with the API server's own words.
  const denied = Promise.withResolvers<never>();
  denied.promise.catch(() => {});
  const onFailure = (error: Error): void => {
    if (isStatus(error, 403)) denied.reject(error);
  };

  const policies = new Policies({ transport, log, metrics, configuration, onFailure });
  const statuses = new PolicyStatusWriter({
    transport,
    replica: hostname(),
    admission: configuration.admission?.webhook !== undefined,
    onError: (error, policy) =>
      log.warn({ error, policy }, 'the status of a policy could not be written; it is tried again'),
  });
  policies.onChange((set) => statuses.report(set.policies));
  const maskingRules = new MaskingRules({
    transport,
    log,
    metrics,
    placeholders: new Placeholders(maskingKey(key)),
    staleAfter: configuration.policy.staleAfter,
    onFailure,
  });
  const ruleStatuses = new RuleStatusWriter({
    transport,
    onError: (error, rule) =>
      log.warn({ error, rule }, 'the status of a masking rule could not be written; it is tried again'),
  });
  maskingRules.onChange((set, objects) => ruleStatuses.report(set.rules, objects));
  const printerColumns = new PrinterColumns({
    transport,
    log,
    metrics,
    staleAfter: configuration.policy.staleAfter,
    onFailure,
  });
  const masking = new Masking(maskingRules, printerColumns);
  const sessions = new AgentSessions({
    configuration: identity.sessions,
    audience: configuration.audience,
    installationKey: key,
    transport,
    own,
    log,
    metrics,
    onFailure,
  });
  const authenticator = createAuthenticator(identity, {
    reviewToken: (token, audiences, signal) => own.tokenReview(token, audiences, signal),
    clusterKeys: (signal) => own.serviceAccountKeys(signal),
    sessions: sessions.verifier,
    log,
  });

  const recording = configuration.recording.enabled
    ? await Recording.start({
        configuration: configuration.recording,
        own,
        secrets,
        log,
        metrics,
        bodyTimeout: listen.bodyTimeout,
        version,
      })
    : undefined;
  metrics.recordingEnabled.set(recording === undefined ? 0 : 1);
  if (recording === undefined)
    log.warn('nothing is recorded: recording.enabled is false. What policies of mode Strict demand is refused');
  const live = new LiveExchanges();
  sessions.onEnded((ended) => {
    if ('session' in ended) {
      live.endSession(ended.session, ended.reason.toLowerCase());
      recording?.endSession(ended.session);
    } else live.endAgent(ended.agent);
  });
  maskingRules.onChange(() => {
    live.endStreamsThat(
      (exchange) => masking.isOutdated(exchange),
      'masking rules have changed: run the command again',
    );
  });
  const tracing =
    configuration.tracing &&
    (await startTracing({
      ...configuration.tracing,
      version,
      instance: hostname(),
      onError: (error) => log.warn({ error }, 'traces could not be sent'),
    }));
  const via = new Via(key);
  const observer = new Observer(
    metrics,
    log,
    (fault) => statuses.fault(fault.policy, fault.rule, fault.message),
    tracing?.begin,
  );
  let door: FrontDoor | undefined;
  const evidence = new Evidence({
    forward,
    via: (name) => via.of(name, Date.now()),
    namespace: (name) => policies.namespace(name),
    servedByAPIServer: (group, version) => policies.servedByAPIServer(group, version),
    bodyTimeout: listen.bodyTimeout,
  });
  const judge = new Judge(policies, evidence);
  const reader = new ObjectReader({ forward, via: (exchange) => via.of(exchange.identity!, Date.now()) });
  const writeBack = new WriteBack({
    evidence,
    reader,
    helm: new HelmSources(reader, masking),
    limit: new LiteralLimit(configuration.masking.literalWrites),
  });
  const asking = approvals({
    configuration: configuration.approvals,
    installationKey: key,
    transport,
    own,
    forward,
    decide: (exchange) => pipeline.decide(exchange),
    evidence,
    masking,
    via: (name) => via.of(name, Date.now()),
    servedByAPIServer: (group, version) => policies.servedByAPIServer(group, version),
    log,
    metrics,
    onFailure,
  });
  const rooms = {
    authenticate: (exchange: Exchange) => authenticate(authenticator, sessions, metrics, exchange),
    via: (name: Parameters<Via['of']>[0]) => via.of(name, Date.now()),
    masking,
    writeBack,
    judge,
    approver: asking.gate,
    recorder: recording?.recorder ?? NO_RECORDER,
    forward,
    stages: [masking, recordingStage],
    limits: new CallerLimits(limits, (limit) => metrics.limitsHit.inc(limit)),
    live,
    endpoints: new Endpoints(
      sessions.endpoint,
      listen.bodyTimeout,
      recording?.reader((caller) => policies.current().governs(caller), listen.stallTimeout),
    ),
    observer,
    relayLimits: listen,
    closing: () => door?.closing ?? false,
  };
  const pipeline: Pipeline = new Pipeline(rooms);
  const upgrades = new Upgrades(pipeline, rooms, { ...streams, ...upstream });
  door = new FrontDoor(
    { ...listen, certificate, clientCertificates: clientCAFile !== undefined },
    {
      request: (request, response) => {
        pipeline.handle(request, response).catch((error: unknown) => {
          // One request's fault is never everyone's end.
          log.error({ error }, 'a request could not even be refused');
          response.destroy();
        });
      },
      upgrade: (request, socket, head) => {
        upgrades.handle(request, socket, head).catch((error: unknown) => {
          log.error({ error }, 'an upgrade could not even be refused');
          socket.destroy();
        });
      },
      connectionError: () => {},
    },
  );

  readiness.register('policies', () => policies.check());
  readiness.register('masking', () => maskingRules.check());
  readiness.register('columns', () => printerColumns.check());
  readiness.register('sessions', () => sessions.check());
  readiness.register('approvals', () => asking.check());
  readiness.register('certificate', () => certificate.check());
  readiness.register('issuers', () => authenticator.ready().ready || 'no issuer’s keys are loaded yet');
  let stopping = false;
  readiness.register('stopping', () => !stopping || 'this replica is stopping');
  metrics.beforeScrape(() => {
    const informers = [...policies.informers, maskingRules.informer, printerColumns.informer, ...sessions.informers];
    for (const informer of [...informers, asking.informer]) {
      metrics.watchAge.set(Math.min(informer.age() / 1_000, 1e9), informer.name);
      metrics.watchSynced.set(informer.synced ? 1 : 0, informer.name);
      metrics.watchObjects.set(informer.counts.objects, informer.name);
    }
  });

  const probe = probeServer({ liveness, readiness, metrics });
  const probePort = await listenOn(probe, probes.address, probes.port);
  const loading = [policies, maskingRules, printerColumns, sessions, asking].map((one) => one.start());
  await Promise.race([Promise.all(loading), denied.promise]);
  statuses.start();
  const port = await door.listen(listen.address, listen.port);
  log.info({ port, probePort, version, upstream: connection.description }, 'serving');

  return {
    port,
    probePort,
    policies,
    installationKey: key,
    secrets,
    own,
    approvals: asking,
    masking,
    async stop() {
      stopping = true;
      log.info({ open: live.size }, 'stopping: not ready');
      await delay(shutdown.readyDelay);
      door.stopAccepting();
      live.endStreams(shutdown.streamDeadline);
      await live.drained(Math.max(shutdown.drainTimeout, shutdown.streamDeadline));
      live.endAll('this replica is stopping: run the command again');
      await delay(50);
      door.destroy();
      await asking.stop();
      await recording?.stop();
      await tracing?.stop();
      await Promise.all([policies, statuses, maskingRules, ruleStatuses, printerColumns].map((one) => one.stop()));
      await Promise.all([sessions.stop(), authenticator.close(), forward.close()]);
      await transport.close();
      await new Promise((resolve) => probe.close(resolve).closeAllConnections());
      log.info('stopped');
    },
  };
}

async function authenticate(
  authenticator: Authenticator,
  sessions: AgentSessions,
  metrics: Metrics,
  exchange: Exchange,
) {
  const { request } = exchange;
  try {
    const caller = await authenticator.authenticate({
      rawHeaders: request.rawHeaders,
      target: request.url ?? '',
      socket: clientSocket(request),
      sourceIP: exchange.sourceIP,
    });
    sessions.admit(caller);
    metrics.authentications.inc(caller.method, 'accepted');
    return caller;
  } catch (error) {
    const code = error instanceof SallyportError ? error.code : undefined;
    const result =
      code === 'SP_CREDENTIAL_EXPIRED' ? 'expired' : code === 'SP_NOT_AUTHENTICATED' ? 'rejected' : 'unavailable';
    metrics.authentications.inc('None', result);
    throw error;
  }
}

function listenOn(server: Server, address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => {
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
    });
  });
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
