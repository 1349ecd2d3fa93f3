/** A process of its own for the clients: their work must not stand in the way of what measures. */
import { randomUUID } from 'node:crypto';
import { request } from 'node:https';
import { type Channel, openChannel } from './channel.ts';
import type { Endpoint } from './endpoint.ts';
import { pacedLoad, repeat, saturate } from './load.ts';
import type { LoadRequest, LoadResponse, LoadTasks } from './load-task.ts';
import { WatchCrowd } from './watch-crowd.ts';

type Promised<Tasks> = {
  [Name in keyof Tasks]: Tasks[Name] extends (...input: infer Input) => infer Result
    ? (...input: Input) => Promise<Result>
    : never;
};

const channels = new Map<number, Channel>();
let lastChannel = 0;
let crowd = new WatchCrowd();

const tasks: Promised<LoadTasks> = {
  async open(endpoint, protocol, connections) {
    channels.set(++lastChannel, await openChannel(endpoint, protocol, connections));
    return lastChannel;
  },
  async close(channel) {
    await channels.get(channel)?.close();
    channels.delete(channel);
  },
  saturate: (channel, path, parallel, seconds) => saturate(channels.get(channel)!, path, parallel, seconds),
  repeat: (channel, path, parallel, count) => repeat(channels.get(channel)!, path, parallel, count),
  paced: (channel, path, rate, seconds) => pacedLoad(channels.get(channel)!, path, rate, seconds),
  read: (channel, path, until) => read(channels.get(channel)!, path, until),
  async openWatches(endpoint, protocol, path, count, perConnection) {
    await crowd.open(endpoint, protocol, path, count, perConnection);
  },
  async fanOut(writer, object) {
    const mark = randomUUID();
    return await crowd.hear(mark, () => annotate(writer, object, mark));
  },
  async closeWatches() {
    const ended = crowd;
    crowd = new WatchCrowd();
    await ended.close();
  },
};

function read(channel: Channel, path: string, until?: string): Promise<{ milliseconds: number; bytes: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ milliseconds: number; bytes: number }>();
  const begun = performance.now();
  const sought = until === undefined ? undefined : Buffer.from(until);
  let before = Buffer.alloc(0);
  let bytes = 0;
  const done = (): void => resolve({ milliseconds: performance.now() - begun, bytes });
  const leave = channel.get(path, {
    data(chunk) {
      bytes += chunk.length;
      if (sought === undefined) return;
      const seam = Buffer.concat([before, chunk.subarray(0, sought.length)]);
      if (chunk.includes(sought) || seam.includes(sought)) {
        done();
        leave();
      } else before = Buffer.from(chunk.subarray(-sought.length));
    },
    end(status) {
      if (status === 200 && sought === undefined) done();
      else reject(new Error(`${path}: it ended with ${status} after ${bytes} bytes`));
    },
    fail: reject,
  });
  return promise;
}

function annotate(writer: Endpoint, object: string, mark: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const body = JSON.stringify({ metadata: { annotations: { 'bench.sallyport.dev/mark': mark } } });
  const sent = request(
    writer.url + object,
    {
      method: 'PATCH',
      ca: writer.caPem,
      agent: false,
      headers: [...writer.headers, ...PATCH, 'Content-Length', String(body.length)],
    },
    (answer) => {
      answer.resume();
      if (answer.statusCode === 200) resolve();
      else reject(new Error(`the change was answered ${answer.statusCode}`));
    },
  );
  sent.on('error', reject);
  sent.end(body);
  return promise;
}

const PATCH = ['Host', '127.0.0.1', 'Content-Type', 'application/merge-patch+json'];

process.on('message', ({ id, task, input }: LoadRequest) => {
  const run = tasks[task] as (...input: readonly unknown[]) => Promise<unknown>;
  const answer = (response: Omit<LoadResponse, 'id'>): void => void process.send?.({ id, ...response });
  run(...input).then(
    (result) => answer({ result }),
    (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
