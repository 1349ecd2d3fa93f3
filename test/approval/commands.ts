import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApprovalRequest } from '../../src/approval/approval-request.generated.ts';
import { helm as findHelm } from '../cluster/binaries.ts';
import { BUSYBOX_IMAGE, type CommandResult, runCommand } from '../cluster/cluster.ts';
import type { Scene } from '../gateway/scene.ts';
import { People } from './people.ts';

/** A row of the table in docs/approvals.md: what is asked when an agent types a command, and what it sees. */
export interface Row {
  /** As the table shows it. */
  readonly command: string;
  /** What runs: words of kubectl, or of a shell where it begins with `sh `. FOLDER is the test's own. */
  readonly run: string;
  /** Of one run that passes, discovery left out. */
  readonly requests: readonly string[];
  /** `display` of what is asked in all, in order of the alphabet; the namespace is `shop`. */
  readonly asks: readonly string[];
  /** How often the command is run until it has passed, each time with all that waits approved before. */
  readonly runs: number;
  /** What of a run that is refused is on the screen, before the line of the refusal. */
  readonly sees: string;
  readonly refused: RegExp;
  /** Only a real Pod can be the target. */
  readonly node?: boolean;
  /** Through a policy that holds the connection and lets sessions be granted, approved so while it runs. */
  readonly held?: boolean;
}

/** What stands on the screen before the refusal. */
const refused = (before: string): RegExp =>
  new RegExp(
    `${before.replaceAll(/[()]/g, '\\$&')}SP_APPROVAL_REQUIRED: .* needs a person's approval: ask a person to run ` +
      '"kubectl approve -n \\S+ ar-\\S+" before \\S+, then run the same command again \\(request \\S+\\)',
  );
const FORBIDDEN = refused('Error from server (Forbidden): ');
const CREATING = refused('Error from server (Forbidden): error when creating "\\S+": ');
const STREAM = refused('unable to upgrade connection: ');
const THEN = 'the refusal; run again after `kubectl approve`, it passes';

export const ROWS: readonly Row[] = [
  {
    command: 'kubectl create configmap settings --from-literal=a=b',
    run: 'create configmap settings --from-literal=a=b',
    requests: ['create configmaps'],
    asks: ['create configmaps shop/settings'],
    runs: 2,
    sees: THEN,
    refused: refused('error: failed to create configmap: '),
  },
  {
    command: 'kubectl apply -f web.yaml',
    run: 'apply -f FOLDER/web.yaml',
    requests: ['get deployments', 'get namespaces', 'create deployments'],
    asks: ['create deployments shop/web'],
    runs: 2,
    sees: THEN,
    refused: CREATING,
  },
  {
    command: 'kubectl apply --server-side -f map.yaml',
    run: 'apply --server-side -f FOLDER/map.yaml',
    requests: ['patch configmaps'],
    asks: ['patch configmaps shop/map'],
    runs: 2,
    sees: THEN,
    refused: FORBIDDEN,
  },
  {
    command: 'kubectl apply -f shop/',
    run: 'apply -f FOLDER/shop',
    requests: ['get configmaps', 'get namespaces', 'create configmaps'],
    asks: ['create configmaps shop/one', 'create configmaps shop/three', 'create configmaps shop/two'],
    runs: 2,
    sees: 'one refusal for each object; all are asked in the first run and pass in the second',
    refused: CREATING,
  },
  {
    command: 'kubectl delete -l part=folder configmap',
    run: 'delete configmap -l part=folder',
    requests: ['list configmaps', 'delete configmaps', 'get configmaps'],
    asks: ['delete configmaps shop/one', 'delete configmaps shop/three', 'delete configmaps shop/two'],
    runs: 2,
    sees: 'one refusal for each object that the label finds; all are asked in the first run',
    refused: FORBIDDEN,
  },
  {
    command: 'kubectl delete configmap settings',
    run: 'delete configmap settings',
    requests: ['delete configmaps', 'get configmaps'],
    asks: ['delete configmaps shop/settings'],
    runs: 2,
    sees: THEN,
    refused: FORBIDDEN,
  },
  {
    command: 'kubectl scale deployment/web --replicas=2',
    run: 'scale deployment/web --replicas=2',
    requests: ['get deployments', 'patch deployments/scale'],
    asks: ['patch deployments/scale shop/web'],
    runs: 2,
    sees: THEN,
    refused: FORBIDDEN,
  },
  {
    command: 'kubectl rollout restart deployment/web',
    run: 'rollout restart deployment/web',
    requests: ['get deployments', 'patch deployments'],
    asks: ['patch deployments shop/web'],
    runs: 2,
    sees: `${THEN}, though the time that it writes is another`,
    refused: refused('error: failed to patch: '),
  },
  {
    command: 'kubectl drain NODE',
    run: 'drain NODE --force --pod-selector=app=drained --timeout=60s',
    requests: ['list pods', 'get nodes', 'patch nodes', 'create pods/eviction', 'get pods'],
    asks: ['create pods/eviction shop/drained', 'patch nodes NODE'],
    runs: 2,
    sees: 'a refusal to cordon the node and one for each Pod that is to be evicted; all are asked in the first run',
    refused: refused(''),
    node: true,
  },
  {
    command: 'kubectl cp file web:/tmp/file',
    run: 'cp FOLDER/web.yaml web:/tmp/file',
    requests: ['get pods', 'create pods/exec'],
    asks: ['create pods/exec shop/web -- tar -xmf - -C /tmp', 'create pods/exec shop/web -- test -d /tmp/file'],
    runs: 2,
    sees: THEN,
    refused: STREAM,
    node: true,
  },
  {
    command: 'kubectl exec web -- nginx -t',
    run: 'exec web -- nginx -t',
    requests: ['get pods', 'create pods/exec'],
    asks: ['create pods/exec shop/web -- nginx -t'],
    runs: 2,
    sees: `${THEN}; kubectl asks over WebSocket and then over SPDY, which is one request`,
    refused: STREAM,
    node: true,
  },
  {
    command: 'kubectl attach -i web',
    run: 'sh echo hello | KUBECTL attach -i reader',
    requests: ['get pods', 'create pods/attach'],
    asks: ['create pods/attach shop/reader'],
    runs: 2,
    sees: `${THEN}, for 15 minutes at most: it is a live shell`,
    refused: STREAM,
    node: true,
  },
  {
    command: 'kubectl port-forward pod/web 8080:80',
    run: 'sh KUBECTL port-forward pod/web 0:80 & child=$!; sleep 2; kill $child || wait $child',
    requests: ['get pods', 'create pods/portforward'],
    asks: ['create pods/portforward shop/web'],
    runs: 2,
    sees: `${THEN}; the approval is for the Pod, since ports are known only once the connection is open. A rule that names \`ports\` asks when one is opened, for that port, and holds its connection for 20 s at most`,
    refused: STREAM,
    node: true,
  },
  {
    command: 'kubectl debug web --image=busybox -- id',
    run: `debug web --image=${BUSYBOX_IMAGE} --profile=general -- id`,
    requests: ['get pods', 'patch pods/ephemeralcontainers'],
    asks: ['patch pods/ephemeralcontainers shop/web'],
    runs: 2,
    sees: `${THEN}, though the name that it draws is another`,
    refused: FORBIDDEN,
    node: true,
  },
  {
    command: 'helm upgrade --install shop ./chart',
    run: 'sh HELM upgrade --install shop CHART --set replicas=0',
    requests: [],
    asks: ['create secrets shop/sh.helm.release.v1.shop.v1'],
    runs: 1,
    sees: 'nothing but the wait, where the rule holds (`waitTimeout`) and the approver grants the session (`kubectl approve --for 10m`); without, a refusal that says so, since Helm never sends the same request twice',
    refused: refused(''),
    held: true,
  },
];

/** Runs the row's command, approves what is asked, runs it again, until it passes; checks everything that the row says. */
export async function walk(scene: Scene, row: Row, kubeconfig: string, folder: string): Promise<void> {
  const people = new People(scene.cluster);
  const asked = new Map<string, number>();
  let result: CommandResult | undefined;
  let runs = 0;
  let from = 0;
  while (runs < 12) {
    runs += 1;
    from = scene.gateway.log.length;
    result = await run(scene, row, kubeconfig, folder);
    if (result.code === 0) break;
    assert.match(`${result.stdout}${result.stderr}`, row.refused);
    const pending = await waiting(people, scene);
    assert.notEqual(pending.length, 0, `refused, and nobody was asked: ${result.stderr}`);
    for (const request of pending) {
      const what = shown(scene, request);
      asked.set(what, (asked.get(what) ?? 0) + 1);
      await people.approve(request.metadata.namespace!, request.metadata.name);
    }
  }
  await sleep(200);
  const requests = scene.gateway.log.slice(from).flatMap((entry) => {
    const { verb, resource } = (entry['operation'] ?? {}) as { verb?: string; resource?: string };
    return entry['message'] === 'served' && resource !== undefined ? [`${verb} ${resource}`] : [];
  });
  // In which order they are answered is a matter of luck where kubectl asks for two things at once.
  const found = { requests: [...new Set(requests)].sort(byText), asks: counted(asked), runs };
  assert.equal(result?.code, 0, `${JSON.stringify(found)} ${result?.stderr}`);
  assert.deepEqual(found, { requests: row.requests.toSorted(byText), asks: [...row.asks], runs: row.runs });
}

async function run(scene: Scene, row: Row, kubeconfig: string, folder: string): Promise<CommandResult> {
  const node = row.run.includes('NODE') ? await nodeName(scene) : '';
  const words = row.run.replaceAll('FOLDER', folder).replace('NODE', node);
  const env = {
    KUBECONFIG: kubeconfig,
    KUBECACHEDIR: join(folder, 'cache'),
    HELM_CACHE_HOME: folder,
    HELM_CONFIG_HOME: folder,
    HELM_DATA_HOME: folder,
  };
  const kubectl = scene.cluster.binaries.kubectl!;
  const helm = words.includes('HELM ') ? await findHelm() : '';
  const chart = join(import.meta.dirname, '../clients/chart');
  const command = words.startsWith('sh ')
    ? words.slice(3).replaceAll('KUBECTL', kubectl).replace('HELM', helm).replace('CHART', chart)
    : `${kubectl} ${words}`;
  return await runCommand('sh', ['-c', command], { env: { ...process.env, ...env }, timeout: 90_000 });
}

async function waiting(people: People, scene: Scene): Promise<ApprovalRequest[]> {
  return (await people.all()).filter(
    ({ spec, status }) => (status?.conditions ?? []).length === 0 && spec.requester.username.includes(scene.namespace),
  );
}

function shown(scene: Scene, { spec }: ApprovalRequest): string {
  const { display, command } = spec.operation;
  const argv = command === undefined || command.length === 0 ? '' : ` -- ${command.join(' ')}`;
  const named = `${display}${argv}`.replaceAll(scene.namespace, 'shop');
  return display.startsWith('patch nodes') ? 'patch nodes NODE' : named;
}

function counted(asked: ReadonlyMap<string, number>): string[] {
  const lines = [...asked].map(([what, count]) => (count === 1 ? what : `${count} × ${what}`));
  return lines.sort(byText);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** While the command is held: its session is granted the rule, once. */
export async function walkHeld(scene: Scene, row: Row, kubeconfig: string, folder: string): Promise<void> {
  const people = new People(scene.cluster);
  const running = run(scene, row, kubeconfig, folder);
  let pending: ApprovalRequest[] = [];
  for (let i = 0; i < 400 && pending.length === 0; i++) {
    await sleep(50);
    pending = await waiting(people, scene);
  }
  const asks = counted(new Map(pending.map((request) => [shown(scene, request), 1])));
  for (const { metadata } of pending)
    await people.approve(metadata.namespace!, metadata.name, { grantDuration: '10m' });
  const result = await running;
  assert.equal(result.code, 0, `${asks} ${result.stderr}`);
  assert.deepEqual(asks, [...row.asks]);
  assert.deepEqual(await waiting(people, scene), []);
}

async function nodeName({ cluster }: Scene): Promise<string> {
  return (await cluster.admin('GET', '/api/v1/nodes')).json().items[0].metadata.name;
}

/** Manifests that the rows apply. */
export async function manifests(folder: string): Promise<void> {
  await mkdir(join(folder, 'shop'), { recursive: true });
  const map = (name: string, value: string): string =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, labels: {part: folder}}\ndata: {a: "${value}"}\n`;
  await writeFile(join(folder, 'web.yaml'), DEPLOYMENT);
  await writeFile(join(folder, 'map.yaml'), map('map', 'b').replace(', labels: {part: folder}', ''));
  for (const name of ['one', 'two', 'three']) await writeFile(join(folder, 'shop', `${name}.yaml`), map(name, name));
}

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "sallyport.test/busybox:1"}]
`;

/** The table, as it stands on the page. */
export function table(): string {
  const cell = (list: readonly string[]): string => list.map((one) => `\`${one}\``).join(', ');
  const lines = ROWS.map(({ command, requests, asks, sees, held }) => {
    const made = held === true ? 'many' : cell(requests);
    return `| \`${command}\` | ${made} | ${cell(asks)} | ${sees} |`;
  });
  return ['| command | requests it makes | what is asked | what the user sees |', '|---|---|---|---|', ...lines].join(
    '\n',
  );
}
