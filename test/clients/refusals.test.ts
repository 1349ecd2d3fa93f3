import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { helm as findHelm } from '../cluster/binaries.ts';
import { REFUSALS, run, said } from './refusals.ts';
import { busyboxPod, Stage } from './stage.ts';

const PAGE = new URL('../../docs/kubectl-messages.md', import.meta.url);
/** `WRITE_DOCS=1` writes the page anew. */
const WRITE = process.env['WRITE_DOCS'] === '1';

describe('what a refused command prints', { timeout: 180_000 }, () => {
  let stage: Stage;
  let helm: string;
  const shown = new Map<string, string[]>();

  before(async () => {
    [stage, helm] = await Promise.all([Stage.open(), findHelm()]);
    await stage.scene.cluster.kubectl(['apply', '-n', stage.namespace, '-f', '-'], {
      input: busyboxPod('vault', 'sleep infinity'),
    });
    // kubectl forwards ports only of what runs; that one really does would need a node.
    const status = ['--subresource=status', '--type=merge', '-p', '{"status":{"phase":"Running"}}'];
    await stage.scene.cluster.kubectl(['patch', 'pod', 'vault', '-n', stage.namespace, ...status]);
    await writeFile(join(stage.folder, 'file'), 'x\n');
  });
  after(async () => {
    await stage?.close();
  });

  for (const refusal of REFUSALS) {
    it(`${refusal.title}: one line with the code, who said so, what to do, and the request’s id`, async () => {
      const result = await run(stage, refusal, helm);
      const lines = said(stage, result);
      shown.set(refusal.title, lines);
      assert.notEqual(result.code, 0, lines.join('\n'));
      const told = lines.filter((line) => line.includes('SP_'));
      assert.equal(new Set(told).size, 1, lines.join('\n'));
      if (refusal.note?.includes('asks again every second') !== true) assert.equal(told.length, 1, lines.join('\n'));
      const [line = ''] = told;
      assert.match(line, new RegExp(`${refusal.code}: .+ \\(request …\\)\\)?$`));
      assert.match(line, /ask |sign in|Remove it|no policy can open|was not accepted/);
      const real = /request ([0-9a-f-]{36})/.exec(`${result.stdout}${result.stderr}`)![1]!;
      // Steps of an approval have lines of their own before it.
      const entry = await stage.scene.gateway.logged(
        (one) => one['requestID'] === real && one['message'] === 'refused',
      );
      assert.equal(entry['code'], refusal.code);
      if (entry['code'] === 'SP_POLICY_DENIED' && line.includes('NAMESPACE/')) {
        const { policy, rule } = entry['decision'] as { policy: string; rule: string };
        assert.ok(line.includes(`${policy.replace(stage.namespace, 'NAMESPACE')}/${rule}: `), line);
      }
    });
  }

  it('nothing of it has reached the API server but dry runs of what a rule had to read', () => {
    const heard = stage.scene.heard(
      ({ objectRef }) =>
        objectRef?.name === 'miner' ||
        (objectRef?.name === 'evil' && objectRef.resource === 'deployments') ||
        (objectRef?.name === 'vault' && (objectRef.subresource ?? '') !== '') ||
        (objectRef?.namespace ?? '').startsWith('kube-'),
    );
    const done = heard.filter(({ verb, requestURI }) => verb !== 'get' && !requestURI.includes('dryRun=All'));
    assert.deepEqual(
      done.map(({ verb, requestURI }) => `${verb} ${requestURI}`),
      [],
    );
    assert.equal(heard.filter(({ objectRef }) => objectRef?.subresource === 'log').length, 0);
  });

  it('over SPDY, asked after a refused WebSocket or from the start, the words are the same', async () => {
    assert.deepEqual(shown.get('exec'), shown.get('exec over SPDY'));
    assert.deepEqual(shown.get('port-forward'), shown.get('port-forward over SPDY'));
    for (const [args, subresource] of [
      [['exec', 'vault', '--', 'true'], 'pods/exec'],
      [['port-forward', 'pod/vault', '0:80'], 'pods/portforward'],
      [['cp', 'vault:/etc/passwd', join(stage.folder, 'none')], 'pods/exec'],
    ] as const) {
      const { log } = stage.scene.gateway;
      const from = log.length;
      const result = await stage.kubectl([...args], { transport: 'WebSocket' });
      const id = /request ([0-9a-f-]{36})/.exec(result.stderr)?.[1];
      await stage.scene.gateway.logged((entry) => entry['requestID'] === id);
      const refused = log.slice(from).filter((entry) => {
        const { resource } = (entry['operation'] ?? {}) as { resource?: string };
        return entry['message'] === 'refused' && resource === subresource;
      });
      assert.equal(refused.length, 2, `${args[0]}: a WebSocket, then SPDY`);
      assert.equal(refused[0]!['reason'], refused[1]!['reason']);
      assert.equal(refused[1]!['requestID'], id);
    }
  });

  it('docs/kubectl-messages.md shows it (WRITE_DOCS=1 writes the page anew)', () => {
    const sections = REFUSALS.map(({ title, command, note, input }) => {
      const typed = command.replace('CHART', './chart').replace('FILE', './file').replaceAll('NAMESPACE', 'shop');
      const lines = [...new Set(shown.get(title))].map((line) => line.replaceAll('NAMESPACE', 'shop'));
      const env = REFUSALS.find((one) => one.title === title)!.env;
      const set = Object.entries(env ?? {}).map(([key, value]) => `${key}=${value} `);
      const body = [`$ ${set.join('')}${typed}${input === undefined ? '' : ' < deployment.yaml'}`, ...lines];
      return `## ${title[0]!.toUpperCase()}${title.slice(1)}\n\n\`\`\`\n${body.join('\n')}\n\`\`\`\n${note === undefined ? '' : `\n${note}\n`}`;
    });
    const page = `${HEAD}\n${sections.join('\n')}`.replaceAll(/(?<=FOLDER)\/file/g, '/file').replaceAll('FOLDER', '.');
    if (WRITE) writeFileSync(PAGE, page);
    assert.equal(readFileSync(PAGE, 'utf8'), page);
  });
});

const HEAD = `# What a refused command prints

Written by \`test/clients/refusals.test.ts\` from what kubectl of the cluster's version and helm really print, and checked by it.
\`…\` stands for the request's id, by which the gateway's log, the API server's audit log and the recording are found. A refusal is one
line: the [code](errors.md), the policy and its rule (here the policy \`shop\`), what to do, the request. kubectl shows only the
message of a \`Status\`, and for exec only its first line, so all of it is in there.
`;
