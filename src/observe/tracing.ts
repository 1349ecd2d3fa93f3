import { readFileSync } from 'node:fs';
import type { Attributes, Span } from '@opentelemetry/api';

export interface TracingOptions {
  readonly endpoint: string;
  readonly sampleRatio: number;
  readonly headersFile?: string | undefined;
  /** Milliseconds for one batch. */
  readonly timeout: number;
  readonly version: string;
  /** Names this replica. */
  readonly instance: string;
  readonly onError: (error: unknown) => void;
}

/** One request that is traced. */
export interface RequestTrace {
  /** The W3C context for whoever is asked next (https://www.w3.org/TR/trace-context/). */
  readonly traceparent: string;
  /** Once. @param attributes of bounded sets only: no names, no text that a caller wrote */
  end(name: string, attributes: Attributes, isFault: boolean): void;
}

/** Begins a trace, or goes on with the caller's. @returns undefined where this one is not traced */
export type BeginTrace = (traceparent: string | undefined) => RequestTrace | undefined;

export interface Tracing {
  readonly begin: BeginTrace;
  /** Sends what is left. */
  stop(): Promise<void>;
}

/** Version 00 and whatever comes after it begin like this; an id of zeros is none. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?$/;

/** Loads the OpenTelemetry SDK, which nobody pays for who does not trace. @throws Error for headers that cannot be read */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  const headers = options.headersFile === undefined ? {} : readHeaders(options.headersFile);
  const [api, { BatchSpanProcessor, TraceIdRatioBasedSampler, TracerProvider }, exporting, { resourceFromAttributes }] =
    await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/sdk-trace'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
    ]);
  const { endpoint: url, timeout, version, instance } = options;
  api.diag.setLogger({ ...SILENT, error: (message) => options.onError(new Error(message)) }, api.DiagLogLevel.ERROR);
  const provider = new TracerProvider({
    // Not by the parent: a caller could have everything traced by a flag.
    sampler: new TraceIdRatioBasedSampler(options.sampleRatio),
    resource: resourceFromAttributes({
      'service.name': 'sallyport',
      'service.version': version,
      'service.instance.id': instance,
    }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new exporting.OTLPTraceExporter({ url, headers, timeoutMillis: timeout }),
        maxQueueSize: 4_096,
      }),
    ],
  });
  const tracer = provider.getTracer('sallyport', version);
  return {
    begin(traceparent) {
      const parent = TRACEPARENT.exec(traceparent ?? '');
      const context =
        parent === null
          ? api.ROOT_CONTEXT
          : api.trace.setSpanContext(api.ROOT_CONTEXT, {
              traceId: parent[1]!,
              spanId: parent[2]!,
              traceFlags: api.TraceFlags.NONE,
              isRemote: true,
            });
      const span = tracer.startSpan('request', { kind: api.SpanKind.SERVER }, context);
      return span.isRecording() ? requestTrace(span, api.SpanStatusCode.ERROR) : undefined;
    },
    stop: () => provider.shutdown().catch(options.onError),
  };
}

function requestTrace(span: Span, fault: number): RequestTrace {
  const { traceId, spanId } = span.spanContext();
  return {
    traceparent: `00-${traceId}-${spanId}-01`,
    end(name, attributes, isFault) {
      span.updateName(name);
      span.setAttributes(attributes);
      if (isFault) span.setStatus({ code: fault });
      span.end();
    },
  };
}

const nothing = (): void => {};
const SILENT = { error: nothing, warn: nothing, info: nothing, debug: nothing, verbose: nothing };

function readHeaders(file: string): Record<string, string> {
  let headers: unknown;
  try {
    headers = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // Its own words could quote the key.
    throw new Error(`tracing.headersFile: ${file} cannot be read as a JSON object`);
  }
  const isObject = typeof headers === 'object' && headers !== null && !Array.isArray(headers);
  if (!isObject || !Object.values(headers as object).every((value) => typeof value === 'string')) {
    throw new Error(`tracing.headersFile: ${file} is no JSON object of texts`);
  }
  return headers as Record<string, string>;
}
