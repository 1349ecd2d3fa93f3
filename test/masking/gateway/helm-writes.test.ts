import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { MARKER } from '../../../src/masking/marker.ts';
import { helm as findHelm } from '../../cluster/binaries.ts';
import { Scene } from '../../gateway/scene.ts';

const b64 = (text: string): string => Buffer.from(text).toString('base64');

const CHART = {
  'Chart.yaml': 'apiVersion: v2\nname: shop\nversion: 0.1.0\n',
  'values.yaml': 'replicas: 0\ngreeting: hello\ndb: {user: anna, password: none}\n',
  'templates/all.yaml': `
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}-db}
type: Opaque
data:
  user: {{ .Values.db.user | b64enc }}
  password: {{ .Values.db.password | b64enc }}
stringData:
  url: postgres://{{ .Values.db.user }}:{{ .Values.db.password }}@db/shop
---
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}-generated}
data:
  {{- $old := lookup "v1" "Secret" .Release.Namespace (printf "%s-generated" .Release.Name) }}
  key: {{ if $old }}{{ index $old.data "key" }}{{ else }}{{ randAlphaNum 24 | b64enc }}{{ end }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings}
data:
  greeting: {{ .Values.greeting | quote }}
  app.yaml: |
    user: {{ .Values.db.user }}
    password: {{ .Values.db.password }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers:
        - name: main
          image: sallyport.test/busybox:1
          args: ["--password={{ .Values.db.password }}"]
`,
};

/** helm, run by an agent that sees placeholders: what it writes back is what was there. */
describe('helm and what is masked', { timeout: 300_000 }, () => {
  let scene: Scene;
  let agent: string;
  let folder: string;
  let chart: string;
  const password = `p${randomBytes(10).toString('hex')}`;

  before(async () => {
    scene = await Scene.open('helm');
    agent = await scene.kubeconfig();
    folder = mkdtempSync(join(tmpdir(), 'helm-'));
    chart = join(folder, 'shop');
    mkdirSync(join(chart, 'templates'), { recursive: true });
    for (const [name, content] of Object.entries(CHART)) writeFileSync(join(chart, name), content);
  });
  after(async () => {
    await scene?.close();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });

  async function helm(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await scene.cluster.kubectl(args, {
      kubeconfig: agent,
      program: await findHelm(),
      env: { HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder, HELM_DATA_HOME: folder },
    });
    assert.equal(code, 0, `helm ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** As an administrator sees it, releases unpacked. */
  async function everything(): Promise<Map<string, string>> {
    const { stdout } = await scene.cluster.kubectl([
      'get',
      'secrets,configmaps,deployments',
      '-n',
      scene.namespace,
      '-o',
      'json',
    ]);
    const texts = new Map<string, string>();
    for (const item of JSON.parse(stdout).items) {
      texts.set(`${item.kind}/${item.metadata.name}`, JSON.stringify(item));
      const release = item.type === 'helm.sh/release.v1' ? item.data.release : undefined;
      if (release === undefined) continue;
      const json = gunzipSync(Buffer.from(Buffer.from(release, 'base64').toString(), 'base64')).toString();
      texts.set(`${item.kind}/${item.metadata.name}`, json);
    }
    return texts;
  }

  async function intact(revisions: number, greeting: string, release = 'shop'): Promise<Map<string, string>> {
    const texts = await everything();
    const core = [0, 1, 2].map((lead) =>
      Buffer.from(`${'x'.repeat(lead)}${MARKER}`)
        .toString('base64')
        .slice(lead === 0 ? 0 : lead + 1, 20),
    );
    for (const [name, text] of texts) {
      for (const mark of [MARKER, ...core]) assert.ok(!text.includes(mark), `${name} holds a placeholder: ${text}`);
    }
    const own = [...texts].filter(([name]) => name.startsWith(`Secret/sh.helm.release.v1.${release}.v`));
    assert.equal(own.length, revisions);
    const secret = JSON.parse(texts.get(`Secret/${release}-db`)!);
    assert.equal(secret.data.password, b64(password));
    assert.equal(secret.data.url, b64(`postgres://anna:${password}@db/shop`));
    const settings = JSON.parse(texts.get(`ConfigMap/${release}-settings`)!);
    assert.equal(settings.data.greeting, greeting);
    assert.match(settings.data['app.yaml'], new RegExp(`password: ${password}`));
    const [main] = JSON.parse(texts.get(`Deployment/${release}`)!).spec.template.spec.containers;
    assert.equal(main.args[0], `--password=${password}`);
    return texts;
  }

  for (const [release, mode] of [
    ['shop', '--server-side=true'],
    ['store', '--server-side=false'],
  ] as const) {
    it(`install, upgrade with values kept and changed, rollback (${mode})`, async () => {
      const install = mode === '--server-side=true' ? ['--server-side=true'] : ['--server-side=false'];
      await helm('install', release, chart, '--set', `db.password=${password}`, ...install);
      const first = await intact(1, 'hello', release);
      const key = JSON.parse(first.get(`Secret/${release}-generated`)!).data.key;
      const seen = await helm('get', 'manifest', release);
      assert.ok(!seen.includes(password) && !seen.includes(b64(password)), seen);
      assert.ok(!(await helm('get', 'values', release, '--all')).includes(password));

      await helm('upgrade', release, chart, mode);
      await intact(2, 'hello', release);
      await helm('upgrade', release, chart, '--reuse-values', '--set', 'greeting=welcome', mode);
      await intact(3, 'welcome', release);
      await helm('upgrade', release, chart, '--set', `db.password=${password}`, '--set', 'greeting=third', mode);
      await intact(4, 'third', release);
      await helm('rollback', release, '1', mode);
      await intact(5, 'hello', release);
      await helm('rollback', release, '3', mode);
      const last = await intact(6, 'welcome', release);
      assert.equal(JSON.parse(last.get(`Secret/${release}-generated`)!).data.key, key);
      assert.match(await helm('history', release), /Rollback to 3/);
      await helm('uninstall', release);
    });
  }
});
