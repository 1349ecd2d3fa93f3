import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTLS } from 'node:tls';
import { RawConnection } from './raw-connection.ts';
import { Scene } from './scene.ts';

/** Connections that say nothing, little, or take nothing: bounded memory, an end, and everyone else is served. */
describe('silent and slow clients', { timeout: 150_000 }, () => {
  let scene: Scene;
  let base: string;

  before(async () => {
    scene = await Scene.open('silent', {
      adjust: (configuration) => {
        Object.assign(configuration.listen, {
          handshakeTimeout: '8s',
          headersTimeout: '2s',
          idleTimeout: '5s',
          stallTimeout: '5s',
          maxConnections: 11_000,
        });
      },
    });
    base = `/api/v1/namespaces/${scene.namespace}/configmaps`;
  });
  after(async () => {
    await scene?.close();
  });

  /** Resident MiB of the gateway's process. */
  function memory(): number {
    return Math.round(
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${scene.gateway.pid}/status`, 'utf8'))![1]) / 1024,
    );
  }

  /** Milliseconds of the slower of two requests, one of them on a connection of its own. */
  async function latency(): Promise<number> {
    const began = performance.now();
    const answers = await Promise.all([scene.ask(base), scene.ask2(base)]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200],
    );
    return performance.now() - began;
  }

  /** Connections that were closed soon after they were opened, long before handshakeTimeout. */
  let turnedAway = 0;

  async function openSockets(count: number): Promise<Socket[]> {
    turnedAway = 0;
    const sockets: Socket[] = [];
    while (sockets.length < count) {
      const batch = Array.from({ length: Math.min(500, count - sockets.length) }, () => {
        const socket = connect({ host: '127.0.0.1', port: scene.gateway.port });
        socket.on('error', () => {});
        const openedAt = performance.now();
        socket.once('close', () => {
          if (performance.now() - openedAt < 4_000) turnedAway += 1;
        });
        // Else the end of one that nobody reads is never seen.
        socket.resume();
        return socket;
      });
      sockets.push(...batch);
      await Promise.all(batch.map((socket) => Promise.race([once(socket, 'connect'), once(socket, 'close')])));
    }
    return sockets;
  }

  it('10,000 connections without a TLS handshake', async () => {
    const usual = await latency();
    const before = memory();
    const sockets = await openSockets(10_000);
    try {
      const slowest = Math.max(await latency(), await latency());
      assert.ok(slowest < 3_000 + 10 * usual, `a normal client waited ${Math.round(slowest)} ms`);
      const each = ((memory() - before) * 1024) / sockets.length;
      assert.ok(each < 100, `${Math.round(each)} KiB each`);
      const deadline = Date.now() + 20_000;
      while (sockets.some((socket) => !socket.closed)) {
        assert.ok(Date.now() < deadline, 'connections without a handshake are still open');
        await sleep(100);
      }
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  it('more connections than allowed are closed at once, and when they are gone everyone is served again', async () => {
    const sockets = await openSockets(11_500);
    try {
      const deadline = Date.now() + 4_000;
      while (turnedAway < 400) {
        assert.ok(Date.now() < deadline, `${turnedAway} were turned away`);
        await sleep(50);
      }
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    await sleep(500);
    await latency();
  });

  it('connections that fall silent in or after the TLS handshake', async () => {
    const usual = await latency();
    const half = await openSockets(500);
    // The beginning of a ClientHello's record.
    for (const socket of half) socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
    const whole = Array.from({ length: 500 }, () => {
      const socket = connectTLS({ host: '127.0.0.1', port: scene.gateway.port, ca: scene.gateway.caPem });
      socket.on('error', () => {});
      return socket;
    });
    await Promise.all(whole.map((socket) => once(socket, 'secureConnect')));
    for (const socket of whole.slice(0, 250)) socket.write('GET /api HTTP/1.1\r\nHost: x\r\n');
    for (const socket of whole) socket.resume();
    const all: Socket[] = [...half, ...whole];
    try {
      const waited = await latency();
      assert.ok(waited < 3_000 + 10 * usual, `a normal client waited ${Math.round(waited)} ms`);
      const deadline = Date.now() + 15_000;
      while (all.some((socket) => !socket.closed)) {
        assert.ok(Date.now() < deadline, `${all.filter((socket) => !socket.closed).length} are still open`);
        await sleep(100);
      }
    } finally {
      for (const socket of all) socket.destroy();
    }
  });

  it('a client that stops reading its answer is cut off after stallTimeout, and its request ends upstream', async () => {
    for (let index = 0; index < 8; index++) {
      await scene.cluster.admin('POST', base, {
        metadata: { name: `large-${index}`, labels: { large: 'yes' } },
        data: { value: 'x'.repeat(900_000) },
      });
    }
    const connection = await RawConnection.open(scene.gateway);
    connection.socket.pause();
    const began = Date.now();
    // Three times over, so that the kernel's own buffers on loopback do not swallow it.
    for (let round = 0; round < 3; round++) {
      connection.write(
        `GET ${base}?labelSelector=large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${scene.token}\r\n\r\n`,
      );
    }
    const line = await scene.gateway.logged(({ end }) => end === 'ClientLeft', 15_000);
    assert.ok(Date.now() - began > 4_000, 'it was cut off too early');
    assert.equal(line['status'], 200);
    connection.destroy();
  });

  it('a slow reader that takes a little now and then is not cut off', async () => {
    const connection = await RawConnection.open(scene.gateway, { patience: 30_000 });
    connection.write(
      `GET ${base}?labelSelector=large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${scene.token}\r\n\r\n`,
    );
    const reading = setInterval(() => {
      if (connection.socket.isPaused()) connection.socket.resume();
      else connection.socket.pause();
    }, 20);
    try {
      const answer = await connection.answer();
      assert.equal(answer?.status, 200);
      assert.equal((JSON.parse(answer.body) as { items: unknown[] }).items.length, 8);
    } finally {
      clearInterval(reading);
      connection.destroy();
    }
  });

  it('has left the process in good health', async () => {
    assert.equal(scene.gateway.stderr, '');
    await latency();
  });
});
