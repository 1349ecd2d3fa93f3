import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { SiemStream } from '../../config/siem.ts';
import { ReloadedFile } from '../../kubernetes/reloaded-file.ts';
import { SHORTEST_WEBHOOK_SECRET, webhookSecret } from '../../observe/webhook-signature.ts';
import type { EventLine, Line } from '../line.ts';
import { harmlessJSON } from '../reading/escaping.ts';
import { kubernetesAuditEvent } from '../reading/kubernetes-audit.ts';
import { ocsfEvent } from '../reading/ocsf.ts';
import { Delivery } from './delivery.ts';
import { HttpSink, webhookBody } from './http-sink.ts';
import { otlpBody, otlpRecord, rejectedRecords } from './otlp.ts';
import { Outbox } from './outbox.ts';
import type { Sink } from './sink.ts';
import { StdoutSink } from './stdout-sink.ts';
import { SyslogSink, syslogMessage } from './syslog.ts';

export interface SiemOptions {
  readonly streams: readonly SiemStream[];
  /** Folder of the queues. */
  readonly folder: string;
  readonly version: string;
  readonly events: SiemEvents;
  /** In place of standard output, for tests. */
  readonly stdout?: number;
}

export interface SiemEvents {
  delivered(stream: string, events: number): void;
  /** The queue is full: they are lost for this receiver; the recording has them. */
  dropped(stream: string, events: number): void;
  /** The receiver will never take them. */
  refused(stream: string, events: number): void;
  failed(stream: string, error: Error): void;
}

interface Stream {
  readonly configuration: SiemStream;
  readonly outbox: Outbox;
  readonly delivery: Delivery;
}

/**
 * Sends every event to receivers outside, as it happens. Taking one costs its formatting and no waiting: a receiver that is slow or
 * gone has a queue on disk of its own, and holds up neither requests nor the other receivers.
 */
export class Siem {
  readonly #options: SiemOptions;
  readonly #streams: readonly Stream[];
  readonly #hostname = hostname();

  private constructor(options: SiemOptions, streams: readonly Stream[]) {
    this.#options = options;
    this.#streams = streams;
  }

  /** @throws Error in one line: a file that cannot be read, a secret that is too short, a folder that cannot be written */
  static async start(options: SiemOptions): Promise<Siem> {
    const streams: Stream[] = [];
    for (const configuration of options.streams) {
      const { name, maxQueueBytes, batch, timeout } = configuration;
      const { events } = options;
      const sink = sinkOf(configuration, options);
      const outbox = await Outbox.open({
        folder: join(options.folder, name),
        maxBytes: maxQueueBytes,
        onDropped: (count) => events.dropped(name, count),
      });
      const delivery = new Delivery({
        outbox,
        sink,
        batch,
        timeout,
        onDelivered: (count) => events.delivered(name, count),
        onRefused: (count) => events.refused(name, count),
        onFailed: (error) => events.failed(name, error),
      });
      delivery.start();
      streams.push({ configuration, outbox, delivery });
    }
    return new Siem(options, streams);
  }

  /** Whether there is anyone to send to. */
  get sends(): boolean {
    return this.#streams.length > 0;
  }

  /** Lines that a recording keeps; those that are events are sent. Never throws, never waits. */
  take(recording: string, lines: readonly Line[]): void {
    for (const line of lines) {
      if (line.kind !== 'Event') continue;
      for (const { configuration, outbox } of this.#streams) {
        if (configuration.stages === 'ResponseComplete' && line.stage !== 'ResponseComplete') continue;
        outbox.offer(this.#written(configuration, recording, line));
      }
    }
  }

  /** By stream: bytes that wait, and for how many milliseconds the receiver has been behind. */
  get status(): readonly { readonly name: string; readonly bytes: number; readonly behind: number }[] {
    return this.#streams.map(({ configuration: { name }, outbox }) => ({
      name,
      bytes: outbox.bytes,
      behind: outbox.behind,
    }));
  }

  /** What is not delivered in this time stays on disk for the next start. @param deadline milliseconds */
  async stop(deadline: number): Promise<void> {
    await Promise.all(this.#streams.map(({ delivery }) => delivery.stop(deadline)));
  }

  #written({ format, bodies, syslog, otlp }: SiemStream, recording: string, line: EventLine): string {
    const event = bodies ? line : withoutBodies(line);
    const body =
      format === 'KubernetesAudit'
        ? harmlessJSON(kubernetesAuditEvent(event))
        : format === 'OCSF'
          ? harmlessJSON(ocsfEvent(event, { version: this.#options.version }))
          : harmlessJSON({ recording, ...event });
    if (otlp !== undefined) return otlpRecord(event, body);
    if (syslog === undefined) return body;
    const bad = event.outcome === 'Refused' || event.outcome === 'Failed';
    return syslogMessage({ stageTimestamp: event.stageTimestamp, bad }, body, this.#hostname);
  }
}

function withoutBodies(event: EventLine): EventLine {
  if (event.requestBody === undefined && event.responseBody === undefined) return event;
  const { requestBody: _request, responseBody: _response, ...rest } = event;
  return rest;
}

function sinkOf({ stdout, webhook, syslog, otlp }: SiemStream, options: SiemOptions): Sink {
  if (stdout !== undefined) return new StdoutSink(options.stdout);
  if (webhook !== undefined) {
    const secret = reloaded(webhook.secretFile, (text) => {
      if (webhookSecret(text).length >= SHORTEST_WEBHOOK_SECRET) return;
      throw new Error(`${webhook.secretFile}: a secret of less than ${SHORTEST_WEBHOOK_SECRET} bytes`);
    });
    return new HttpSink({
      url: secure(webhook.url),
      ca: pem(webhook.caFile),
      contentType: 'application/json',
      body: webhookBody,
      headers: bearer(webhook.bearerTokenFile),
      secret: () => secret.current(),
    });
  }
  if (otlp !== undefined) {
    return new HttpSink({
      url: secure(otlp.endpoint),
      ca: pem(otlp.caFile),
      contentType: 'application/json',
      body: (records) => otlpBody(records, options.version),
      headers: bearer(otlp.bearerTokenFile),
      secret: undefined,
      rejected: rejectedRecords,
    });
  }
  const { host, port, caFile, certFile, keyFile } = syslog!;
  const cert = certFile === undefined ? undefined : reloaded(certFile);
  const key = keyFile === undefined ? undefined : reloaded(keyFile);
  return new SyslogSink({
    host,
    port,
    ca: pem(caFile),
    certificate:
      cert === undefined || key === undefined ? undefined : () => ({ cert: cert.current(), key: key.current() }),
    connectTimeout: 5_000,
  });
}

/** @throws Error: what was recorded goes over https, or stays on this machine */
function secure(url: string): string {
  const { protocol, hostname: host } = new URL(url);
  if (protocol === 'https:' || ['127.0.0.1', '[::1]', 'localhost'].includes(host)) return url;
  throw new Error(`${new URL(url).origin}: events go over https only`);
}

function pem(file: string | undefined): string | undefined {
  return file === undefined ? undefined : readFileSync(file, 'utf8');
}

function reloaded(file: string, validate: (text: string) => void = () => {}): ReloadedFile {
  return new ReloadedFile(file, { validate });
}

function bearer(file: string | undefined): () => Record<string, string> {
  if (file === undefined) return () => ({});
  const token = reloaded(file, (text) => {
    if (!/^[\x21-\x7e]+$/.test(text.trim())) throw new Error(`${file}: no token of one line`);
  });
  return () => ({ authorization: `Bearer ${token.current().trim()}` });
}
