import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { type Actor, execute, type Stage } from './stage.ts';

/** The agent reads a Secret and a log, changes the Secret, and has never seen what is in it. */
export async function maskingScene(
  stage: Stage,
  { cluster, admin, agent, directory }: { cluster: Cluster; admin: Actor; agent: Actor; directory: string },
): Promise<void> {
  const password = randomBytes(9).toString('base64url');
  await cluster.apply(wallet(password));
  stage.scene('One Secret it may read and change. What it sees are placeholders.');
  await until(agent, ['get', 'secret', 'wallet']);
  const hidden = (text: string): void => {
    if (text.includes(password) || text.includes(Buffer.from(password).toString('base64'))) {
      throw new Error('the agent saw the password');
    }
  };
  const read = await stage.run(agent, 'kubectl get secret wallet -o yaml', ['get', 'secret', 'wallet', '-o', 'yaml'], {
    succeeds: true,
    says: /c2FsbHlwb3J0Lm1hc2tlZC/,
  });
  hidden(read.stdout);
  const template = '{{.data.password | base64decode}}';
  const decoded = ['get', 'secret', 'wallet', '-o', `go-template=${template}`];
  await stage.run(agent, `kubectl get secret wallet -o go-template='${template}'`, decoded, {
    succeeds: true,
    says: /^sallyport\.masked\.[a-z2-7]{26}$/,
  });

  stage.say('It writes the Secret back as an editor does, with another label. The password is put back by the gate:');
  const edited = join(directory, 'wallet.yaml');
  writeFileSync(edited, read.stdout.replace('stage: test', 'stage: production'));
  await stage.run(agent, 'kubectl replace -f wallet.yaml', ['replace', '-f', edited], { succeeds: true });
  const now = await stage.run(
    { ...admin, prompt: 'admin $' },
    `kubectl get secret wallet -n shop -o go-template='{{.metadata.labels.stage}}: ${template}'`,
    ['get', 'secret', 'wallet', '-n', 'shop', '-o', `go-template={{.metadata.labels.stage}}: ${template}`],
    { succeeds: true },
  );
  if (now.stdout !== `production: ${password}`) throw new Error('the password is not what it was');

  stage.say(
    'Logs and terminals are masked as they pass. This cluster has no node, so here is a log from a file, by the same engine:',
  );
  const log = join(directory, 'web.log');
  // Made when the demonstration runs: no key stands in any file of the project.
  const key = `AKIA${randomBytes(40)
    .toString('base64')
    .replace(/[^A-Z2-7]/g, '')
    .padEnd(16, 'Q')
    .slice(0, 16)}`;
  writeFileSync(log, `GET / 200 3ms\nuploading as ${key}\nGET /basket 200 5ms\n`);
  const masked = await stage.run(
    { ...agent, prompt: 'admin $', program: new URL('../../bin/sallyport', import.meta.url).pathname },
    'sallyport mask web.log',
    ['mask', log],
    { succeeds: true, says: /uploading as sallyport\.masked\./ },
  );
  if (masked.stdout.includes(key)) throw new Error('the log shows the key');
}

/** A policy acts within a second. */
async function until(actor: Actor, args: readonly string[]): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    if ((await execute(actor.program, args, actor.env)).code === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const wallet = (password: string): string => `
apiVersion: v1
kind: Secret
metadata: {name: wallet, namespace: shop, labels: {stage: test}}
stringData: {password: "${password}"}
---
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: the-wallet}
spec:
  subjects: [{kind: Group, name: ai-agents}]
  rules:
    - name: one-secret
      action: Allow
      match: {verbs: [get, update], apiGroups: [""], resources: [secrets], namespaces: [shop], resourceNames: [wallet]}
`;
