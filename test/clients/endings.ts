import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { CommandIO } from '../../src/cli/command-io.ts';
import { runFreeze, runUnfreeze } from '../../src/cli/freeze-command.ts';
import { runSession } from '../../src/cli/session-command.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import { local } from './kubectl-forward.ts';
import type { Running, Stage, Transport } from './stage.ts';

const TICKING = ['exec', 'web', '--', 'sh', '-c', 'while :; do echo tick; sleep 0.2; done'];

/** Streams that are under way when their right to be ends. */
export function endings(stage: () => Stage): void {
  const io = (): CommandIO & { said: string } => {
    const one = { said: '', env: {} };
    const say = (text: string) => void (one.said += text);
    return Object.assign(one, { stdout: say, stderr: say });
  };
  const administrator = () => {
    const { cluster, gateway } = stage().scene;
    return ['--kubeconfig', cluster.adminKubeconfig, '--namespace', gateway.namespace];
  };

  /** An agent session of a person in the stage's group. */
  async function session(person: string): Promise<{ name: string; kubeconfig: string }> {
    const { scene, namespace } = stage();
    const form = 'grant_type=urn:ietf:params:oauth:grant-type:token-exchange&agent=cursor';
    const answer = await scene.ask('/sallyport/v1/token', {
      method: 'POST',
      headers: ['Content-Type', 'application/x-www-form-urlencoded'],
      body: form,
      token: await scene.gateway.token({ sub: person, groups: [scene.group] }),
    });
    assert.equal(answer.status, 200, answer.body);
    const { access_token: token, session: name } = answer.json() as { access_token: string; session: string };
    return { name, kubeconfig: await scene.gateway.kubeconfig(token, namespace) };
  }

  /** Starts exec over both transports, a port-forward, a followed log and a watch; resolves when all are under way. */
  async function everything(kubeconfig: string): Promise<{ execs: Running[]; forward: Running; others: Running[] }> {
    const start = (args: string[], transport: Transport) => stage().start(args, { kubeconfig, transport });
    const execs = [start(TICKING, 'WebSocket'), start(TICKING, 'SPDY')];
    const forward = start(['port-forward', '--address=127.0.0.1', 'pod/web', ':7'], 'WebSocket');
    const others = [
      start(['logs', '-f', 'vault-with-logs'], 'WebSocket'),
      start(['get', 'pods', '-w', '-o', 'name'], 'WebSocket'),
    ];
    await Promise.all([
      ...execs.map((one) => one.says(/tick\ntick/)),
      local(forward, 7),
      others[0]!.says(/last line/),
      others[1]!.says(/pod\/web/),
    ]);
    return { execs, forward, others };
  }

  /** All of it ends soon after `act`, and exec says why. */
  async function endsWith(
    kubeconfig: string,
    act: () => Promise<void>,
    message: RegExp,
    within: number,
  ): Promise<void> {
    const { execs, forward, others } = await everything(kubeconfig);
    await act();
    const from = performance.now();
    await Promise.all([...execs, forward, ...others].map((one) => one.ended(within + 5_000)));
    assert.ok(performance.now() - from < within, `it took ${Math.round(performance.now() - from)} ms`);
    for (const exec of execs) assert.match(exec.stderr, message);
    assert.match(forward.stderr, /lost connection to pod/);
    await delay(50);
  }

  describe('streams under way end', () => {
    it('when their session is revoked, and no other’s', async () => {
      const [one, other] = [await session('revoked'), await session('kept')];
      const kept = stage().start(TICKING, { kubeconfig: other.kubeconfig });
      await kept.says(/tick/);
      const said = io();
      await endsWith(
        one.kubeconfig,
        async () => {
          assert.equal(await runSession(['revoke', one.name, ...administrator()], said), 0, said.said);
        },
        new RegExp(
          `^error: SP_SESSION_REFUSED: the agent session ${one.name} has ended: .* \\(request [0-9a-f-]{36}\\)\\n$`,
        ),
        2_000,
      );
      kept.stdout = '';
      await kept.says(/tick/);
      const again = await stage().kubectl(['get', 'pods'], { kubeconfig: one.kubeconfig });
      assert.equal(again.code, 1);
      assert.match(again.stderr, /You must be logged in to the server/);
    });

    it('when their agent is frozen, until it is unfrozen', async () => {
      const { kubeconfig } = await session('frozen');
      const said = io();
      await endsWith(
        kubeconfig,
        async () => {
          assert.equal(await runFreeze(['cursor', ...administrator()], said), 0, said.said);
        },
        /^error: SP_SESSION_REFUSED: an administrator has frozen agent cursor \(request [0-9a-f-]{36}\)\n$/,
        2_000,
      );
      // With nothing of discovery cached, kubectl's first question is the one that is refused.
      const cold = await stage().kubectl(['get', 'pods'], {
        kubeconfig,
        env: { KUBECACHEDIR: join(stage().folder, 'cold') },
      });
      assert.match(
        cold.stderr,
        /^Error from server \(Forbidden\): SP_SESSION_REFUSED: .*frozen.* \(request [0-9a-f-]{36}\)$/m,
      );
      assert.equal(await runUnfreeze(['cursor', ...administrator()], said), 0, said.said);
      for (let tries = 0; tries < 40; tries++) {
        if ((await stage().kubectl(['get', 'pods'], { kubeconfig })).code === 0) return;
        await delay(50);
      }
      assert.fail('still frozen');
    });

    it('when the token expires', async () => {
      const { scene, namespace } = stage();
      const expires = Math.floor(Date.now() / 1_000) + 6;
      const token = await scene.tokenOf({ exp: expires });
      const kubeconfig = await scene.gateway.kubeconfig(token, namespace);
      const exec = stage().start(TICKING, { kubeconfig });
      await exec.says(/tick/);
      assert.equal(await exec.ended(), 1);
      const late = Date.now() - expires * 1_000;
      // The stage grants its issuer a second of clock skew.
      assert.ok(late >= 0 && late < 3_000, `${late} ms after it had expired`);
      assert.match(
        exec.stderr,
        /^error: SP_CREDENTIAL_EXPIRED: the credential has expired: sign in again \(request [0-9a-f-]{36}\)\n$/,
      );
    });

    it('when the gateway stops: at the deadline, with its reason; what ends before ends as it would', async () => {
      const { scene, namespace } = stage();
      const replica = await GatewayProcess.start(scene.cluster, { replicaOf: scene.gateway });
      try {
        const kubeconfig = await replica.kubeconfig(scene.token, namespace);
        const { execs } = await everything(kubeconfig);
        const short = stage().start(['exec', 'web', '--', 'sh', '-c', 'echo begun; sleep 1; exit 9'], { kubeconfig });
        await short.says(/begun/);
        const from = performance.now();
        const exit = replica.kill('SIGTERM');
        assert.equal(await short.ended(), 9);
        const later = execs[0]!.stdout.length;
        await Promise.all(execs.map((one) => one.ended()));
        const took = performance.now() - from;
        // GatewayProcess gives streams two seconds.
        assert.ok(took > 1_800 && took < 4_500, `it took ${Math.round(took)} ms`);
        assert.ok(execs[0]!.stdout.length > later, 'it went on after the signal');
        for (const exec of execs) {
          assert.match(
            exec.stderr,
            /^error: SP_SHUTTING_DOWN: this replica is stopping: run the command again \(request [0-9a-f-]{36}\)\n$/,
          );
        }
        assert.equal(await exit, 0);
      } finally {
        await replica.stop();
      }
    });
  });
}
