import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import type { KeyPair } from './certificates.ts';

export interface Answer {
  status: number;
  body: string;
  /** The body read as JSON; throws if it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into Kubernetes objects of every kind.
  json(): any;
}

/** Plain requests to the API server under a client certificate, for what a test sets up or looks at behind the gateway. */
export class AdminClient {
  readonly #url: string;
  readonly #agent: Agent;

  constructor(url: string, ca: string, client: KeyPair) {
    this.#url = url;
    this.#agent = new Agent({ ca, cert: client.certPem, key: client.keyPem, keepAlive: true });
    // An idle connection must not keep the test process alive; node's agent unrefs idle sockets itself.
  }

  /** Sends JSON (or, with a `contentType`, the given text) and gives status and whole body. */
  async send(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<Answer> {
    return await new Promise((resolve, reject) => {
      const asked = request(
        this.#url + path,
        { method, agent: this.#agent, headers: { accept: 'application/json' } },
        (answer) => {
          const parts: Buffer[] = [];
          answer.on('data', (part: Buffer) => parts.push(part));
          answer.on('error', reject);
          answer.on('end', () => {
            const text = Buffer.concat(parts).toString('utf8');
            resolve({ status: answer.statusCode ?? 0, body: text, json: () => JSON.parse(text) });
          });
        },
      );
      asked.on('error', (error: NodeJS.ErrnoException) => {
        // The API server closes a connection that was idle for 90 s, perhaps at this very moment: nothing was answered,
        // and nothing was read.
        if (asked.reusedSocket && error.code === 'ECONNRESET') resolve(this.send(method, path, body, contentType));
        else reject(new Error(`${method} ${path}: ${error.message}`, { cause: error }));
      });
      if (body === undefined) return void asked.end();
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      asked.setHeader('content-type', contentType);
      // Without it node sends the body of a DELETE unframed, and the server takes it for the next request.
      asked.setHeader('content-length', Buffer.byteLength(text));
      asked.end(text);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Reads a client key pair that lies in a cluster's `pki` folder. */
export function readKeyPair(pki: string, name: string): KeyPair {
  return {
    certPem: readFileSync(join(pki, `${name}.crt`), 'utf8'),
    keyPem: readFileSync(join(pki, `${name}.key`), 'utf8'),
  };
}
