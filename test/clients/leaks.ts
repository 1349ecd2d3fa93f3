import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { goClient } from './programs.ts';
import type { Stage } from './stage.ts';

/** Open files of a process by what they are. */
function openFiles(pid: number): { all: number; sockets: number } {
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return { all: links.length, sockets: links.filter((link) => link.startsWith('socket:')).length };
}

/** The sum of a metric over its labels. */
function metric(text: string, name: string): number {
  const values = text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'));
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** Connections to the API server that are kept for half a minute of idleness: how many depends on what ran at once. */
const KEPT = 10;

export function leaks(stage: () => Stage): void {
  describe('nothing is left behind', () => {
    it('after 200 execs and 100 port-forwards, some cut short: no socket, no stream, no handle', {
      timeout: 120_000,
    }, async () => {
      const { gateway } = stage().scene;
      const program = await goClient();
      const go = async (...args: string[]) => {
        const { code, stderr } = await stage().kubectl(args, { program });
        assert.equal(code, 0, stderr);
      };
      const measure = async () => {
        const { body } = await gateway.probe('/metrics');
        return {
          ...openFiles(gateway.pid),
          streams: metric(body, 'sallyport_streams'),
          opened: metric(body, 'sallyport_streams_opened_total'),
          flying: metric(body, 'sallyport_requests_in_flight'),
          handles: metric(body, 'nodejs_active_handles_total'),
        };
      };
      const round = async (execs: number, forwards: number) => {
        for (const transport of ['websocket', 'spdy']) {
          await go('exec', `--transport=${transport}`, `--count=${execs}`, '--parallel=25');
          await go('forward', `--transport=${transport}`, `--count=${forwards}`, '--parallel=25');
        }
      };
      const settled = async () => {
        // What ends is given some seconds to close on both sides.
        for (let tries = 0; tries < 100; tries++) {
          const now = await measure();
          if (now.streams === 0 && now.flying === 0) return now;
          await delay(100);
        }
        return await measure();
      };
      // Pools and caches fill up once.
      await round(25, 25);
      await settled();
      await delay(3_500);
      const before = await measure();
      await round(100, 50);
      const cut = Array.from({ length: 5 }, () => stage().start(['exec', 'web', '--', 'sleep', '1000']));
      await delay(1_000);
      for (const one of cut) await one.end('SIGKILL');
      let after = await settled();
      for (let tries = 0; tries < 100 && after.sockets > before.sockets + KEPT; tries++) {
        await delay(100);
        after = await measure();
      }
      assert.ok(after.opened - before.opened >= 300, `${after.opened - before.opened} streams were opened`);
      assert.deepEqual([after.streams, after.flying], [0, 0]);
      assert.ok(after.sockets <= before.sockets + KEPT, `sockets: ${before.sockets} before, ${after.sockets} after`);
      assert.ok(after.all <= before.all + KEPT, `files: ${before.all} before, ${after.all} after`);
      assert.ok(after.handles <= before.handles + KEPT, `handles: ${before.handles} before, ${after.handles} after`);
    });
  });
}
