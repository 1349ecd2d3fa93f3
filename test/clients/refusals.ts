import { join } from 'node:path';
import type { CommandResult } from '../cluster/cluster.ts';
import type { Stage } from './stage.ts';

/** A refused command, and the section of docs/kubectl-messages.md that shows it. */
export interface Refusal {
  readonly title: string;
  /** What a person would type; NAMESPACE and FILE stand for the test's own. */
  readonly command: string;
  readonly program: 'kubectl' | 'helm';
  readonly input?: string;
  readonly code: string;
  /** What a reader of the page should know. */
  readonly note?: string;
  /** Which caller: the stage's agent when left out. */
  readonly as?: 'expired' | 'stranger' | 'forged';
  readonly env?: Record<string, string>;
}

const FOREIGN = `apiVersion: apps/v1
kind: Deployment
metadata: {name: miner}
spec:
  selector: {matchLabels: {app: miner}}
  template:
    metadata: {labels: {app: miner}}
    spec: {containers: [{name: miner, image: "evil.example/miner:1"}]}
`;

const one = (title: string, command: string, more: Partial<Refusal> = {}): Refusal => ({
  title,
  command,
  program: command.startsWith('helm') ? 'helm' : 'kubectl',
  code: 'SP_POLICY_DENIED',
  ...more,
});

/** What is refused in the Pod `vault` and elsewhere by the stage's policy. */
export const REFUSALS: readonly Refusal[] = [
  one('create', 'kubectl run miner --image=evil.example/miner:1'),
  one('create from a file', 'kubectl create -f -', { input: FOREIGN }),
  one('apply', 'kubectl apply -f -', { input: FOREIGN }),
  one('apply, server side', 'kubectl apply --server-side -f -', { input: FOREIGN }),
  one('get what no rule allows', 'kubectl get secrets -n kube-system'),
  one('watch what no rule allows', 'kubectl get pods -w -n kube-system'),
  one('delete what no rule allows', 'kubectl delete namespace kube-public'),
  one('logs', 'kubectl logs vault'),
  one('logs, followed', 'kubectl logs -f vault --pod-running-timeout=500ms', {
    note: 'From 1.36 on, `kubectl logs -f` asks again every second until `--pod-running-timeout` (20 s) has passed, whatever the refusal: the line is printed once for each try.',
  }),
  one('exec', 'kubectl exec vault -- id', {
    note: 'kubectl asks over WebSocket, is refused, asks again over SPDY, and shows the second answer, which is the first one.',
  }),
  one('exec over SPDY', 'kubectl exec vault -- id', { env: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false' } }),
  one('attach', 'kubectl attach vault'),
  one('cp into a Pod', 'kubectl cp FILE vault:/tmp/file'),
  one('cp out of a Pod', 'kubectl cp vault:/etc/passwd FILE.back'),
  one('port-forward', 'kubectl port-forward pod/vault 0:80'),
  one('port-forward over SPDY', 'kubectl port-forward pod/vault 0:80', {
    env: { KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' },
  }),
  one('debug', 'kubectl debug vault --image=sallyport.test/busybox:1 --profile=general'),
  one('proxy, when no rule names it', 'kubectl get --raw /api/v1/namespaces/NAMESPACE/pods/vault/proxy/'),
  one('what needs a person’s approval', 'kubectl delete deployment database', { code: 'SP_APPROVAL_REQUIRED' }),
  one('what no policy can open', 'kubectl delete agentpolicy NAMESPACE', { code: 'SP_BEDROCK' }),
  one('another’s name', 'kubectl get pods --as=admin', { code: 'SP_IDENTITY_HEADER' }),
  one('a caller whom no policy names', 'kubectl get pods', { as: 'stranger', code: 'SP_NO_POLICY' }),
  one('an expired credential', 'kubectl get pods', { as: 'expired', code: 'SP_CREDENTIAL_EXPIRED' }),
  one('a credential that is not accepted', 'kubectl get pods', { as: 'forged', code: 'SP_NOT_AUTHENTICATED' }),
  one('helm install', 'helm install evil CHART --set image=evil.example/miner:1'),
];

/** Runs one as it stands, with the test's own names put in. */
export async function run(stage: Stage, refusal: Refusal, helm: string): Promise<CommandResult> {
  const words = refusal.command
    .replaceAll('NAMESPACE', stage.namespace)
    .replaceAll('FILE', join(stage.folder, 'file'))
    .replaceAll('CHART', join(import.meta.dirname, 'chart'))
    .split(' ')
    .slice(1);
  return await stage.kubectl(words, {
    kubeconfig: await kubeconfigOf(stage, refusal),
    ...(refusal.program === 'helm' ? { program: helm } : {}),
    ...(refusal.input === undefined ? {} : { input: refusal.input }),
    env: {
      ...refusal.env,
      HELM_CACHE_HOME: stage.folder,
      HELM_CONFIG_HOME: stage.folder,
      HELM_DATA_HOME: stage.folder,
    },
  });
}

async function kubeconfigOf(stage: Stage, { as }: Refusal): Promise<string> {
  const { gateway } = stage.scene;
  if (as === undefined) return stage.kubeconfig;
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    expired: { sub: 'late', iat: now - 7_200, exp: now - 3_600 },
    stranger: { sub: 'stranger' },
    forged: { sub: 'forged', aud: 'somewhere-else' },
  }[as];
  return await gateway.kubeconfig(await gateway.token(claims), stage.namespace);
}

/** The lines of a refusal with what differs from run to run put into words. */
export function said(stage: Stage, { stdout, stderr }: CommandResult): string[] {
  return `${stdout}${stderr}`
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '…')
    .replaceAll(/debugger-[a-z0-9]{5}/g, 'debugger-…')
    .replaceAll(/\bar-[0-9a-z]{10}-\d+/g, 'ar-…')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, '…')
    .replaceAll(stage.scene.gateway.url, 'https://GATEWAY')
    .replaceAll(stage.scene.user, 'AGENT')
    .replaceAll(stage.namespace, 'NAMESPACE')
    .replaceAll(stage.folder, 'FOLDER')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'GATEWAY')
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
}
