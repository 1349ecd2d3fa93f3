import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { issueCertificate, makeAuthority } from '../../test/identity/certificates.ts';
import { SallyportError } from '../errors.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { ServingCertificate } from '../serving/serving-certificate.ts';
import { type RunningAdmission, serveAdmission } from './admission-server.ts';

const MiB = 1 << 20;
const log = createLog('error', { write: () => {} });
const metrics = new Metrics('0');
const agent = new Agent({ keepAlive: true, rejectUnauthorized: false });

describe('the webhook’s server', () => {
  let material: { cert: string; key: string };
  let certificate: ServingCertificate;
  let running: RunningAdmission;
  /** How long each review was, and who waits for its answer. */
  let reviews: { length: number; answer: () => void }[];

  before(async () => {
    const authority = await makeAuthority('webhook test');
    const { certificate: cert, key } = await issueCertificate(authority, { commonName: 'localhost', serverAuth: true });
    material = { cert, key };
  });
  beforeEach(async () => {
    reviews = [];
    const source = { description: 'a test', read: async () => material };
    certificate = await ServingCertificate.load({ name: 'admission.tls', source, log, metrics });
    const reviewer = {
      review: (text: string) =>
        new Promise<never>((_, reject) => {
          // What it says is nothing of the server's: a refusal of the whole review is an answer like any other.
          const answer = () => reject(new SallyportError('SP_BAD_REQUEST', 'answered'));
          reviews.push({ length: text.length, answer });
        }),
    };
    running = await serveAdmission({ address: '127.0.0.1', port: 0 } as never, certificate, reviewer, log, metrics);
  });
  afterEach(async () => {
    for (const { answer } of reviews) answer();
    await running.stop();
  });
  after(() => agent.destroy());

  function begin(headers: Record<string, string | number> = {}): ClientRequest {
    const { port } = running;
    const sent = request({ host: '127.0.0.1', port, path: '/admit', method: 'POST', agent, headers });
    sent.on('error', () => {});
    return sent;
  }
  async function answerTo(sent: ClientRequest): Promise<{ status: number; text: string; connection: string }> {
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response) text += String(chunk);
    return { status: response.statusCode!, text, connection: response.headers.connection ?? '' };
  }
  const asked = async (count: number): Promise<void> => {
    while (reviews.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
  };

  it('takes two objects of 3 MiB, escaped', async () => {
    const sent = begin({ 'content-length': 14 * MiB });
    sent.end(Buffer.alloc(14 * MiB, 'x'));
    await asked(1);
    assert.equal(reviews[0]!.length, 14 * MiB);
    reviews[0]!.answer();
    assert.match((await answerTo(sent)).text, /answered/);
  });

  it('reads no more than 16 MiB, whether it is told the length or not', async () => {
    const told = begin({ 'content-length': 16 * MiB + 1 });
    told.flushHeaders();
    const first = await answerTo(told);
    assert.deepEqual([first.status, first.connection], [413, 'close']);
    const streamed = begin();
    const answer = answerTo(streamed);
    for (let sent = 0; sent <= 17 && !streamed.destroyed; sent++) {
      if (!streamed.write(Buffer.alloc(MiB, 'x'))) {
        await Promise.race([once(streamed, 'drain'), answer.catch(() => {})]);
      }
    }
    const second = await answer;
    assert.deepEqual([second.status, second.connection], [413, 'close']);
    assert.equal(reviews.length, 0, 'none of it came to be judged');
  });

  it('while it drains it answers, and closes each connection with its answer', async () => {
    const kept = begin();
    kept.end('{}');
    await asked(1);
    reviews[0]!.answer();
    assert.equal((await answerTo(kept)).connection, 'keep-alive');
    running.drain();
    const last = begin();
    last.end('{}');
    await asked(2);
    reviews[1]!.answer();
    const { status, connection } = await answerTo(last);
    assert.deepEqual([status, connection], [400, 'close']);
  });

  it('answers what is under way when it is stopped, takes nothing new, and has then ended', async () => {
    const judged = begin();
    judged.end('{}');
    const half = begin({ 'content-length': 4 });
    half.write('{}');
    await asked(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    let hasStopped = false;
    const stopped = running.stop().then(() => {
      hasStopped = true;
    });
    const refused = request({ host: '127.0.0.1', port: running.port, rejectUnauthorized: false, agent: false });
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    half.end('  ');
    await asked(2);
    assert.equal(hasStopped, false);
    for (const { answer } of reviews) answer();
    const answers = await Promise.all([answerTo(judged), answerTo(half)]);
    assert.deepEqual(
      answers.map(({ connection }) => connection),
      ['close', 'close'],
    );
    await stopped;
  });
});
