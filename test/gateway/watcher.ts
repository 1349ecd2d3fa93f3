import assert from 'node:assert/strict';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Scene } from './scene.ts';

export interface Event {
  type: string;
  object: {
    kind: string;
    code?: number;
    metadata: { name?: string; resourceVersion?: string; annotations?: Record<string, string> };
  };
}

/** One watch by HTTP/2, its events as they come. */
export class Watcher {
  readonly events: Event[] = [];
  status = 0;
  ended = false;
  /** The stream was reset in place of ending. */
  broken = false;
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;

  constructor(scene: Scene, path: string, token = scene.token) {
    this.#session = connect(scene.gateway.url, { ca: scene.gateway.caPem });
    this.#session.on('error', () => {});
    this.#stream = this.#session.request({ ':path': path, authorization: `Bearer ${token}` });
    let rest = '';
    this.#stream.once('response', (headers) => {
      this.status = headers[':status'] ?? 0;
    });
    this.#stream.setEncoding('utf8');
    this.#stream.on('data', (chunk: string) => {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop()!;
      for (const line of lines) this.events.push(JSON.parse(line) as Event);
    });
    this.#stream.on('end', () => {
      this.ended = true;
    });
    this.#stream.on('error', () => {
      this.broken = true;
    });
    this.#stream.on('close', () => {
      this.ended = true;
    });
  }

  async until(what: string, holds: (watcher: Watcher) => boolean, within = 5_000): Promise<void> {
    const deadline = Date.now() + within;
    while (!holds(this)) {
      if (Date.now() > deadline) {
        assert.fail(`${what}: not within ${within} ms; ${this.status}, ${JSON.stringify(this.events).slice(0, 500)}`);
      }
      await sleep(10);
    }
  }

  sees(name: string, type?: string): boolean {
    return this.events.some(
      (event) => event.object.metadata.name === name && (type === undefined || event.type === type),
    );
  }

  close(): void {
    this.#session.destroy();
  }
}
