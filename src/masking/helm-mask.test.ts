import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { defaultPlan } from './default-plan.ts';
import { JsonMask } from './json-stream.ts';
import { MARKER, Placeholders } from './marker.ts';

const plan = defaultPlan(new Placeholders(Buffer.alloc(32, 7)), ['credentials', 'private-keys', 'tokens-by-name']);
const VALUE = 'Xk29fjq8LmPw';
const MANIFEST = [
  ...['apiVersion: v1', 'kind: Secret', 'metadata:', '  name: a', 'stringData:', `  anything: ${VALUE}`],
  ...['---', 'apiVersion: v1', 'kind: ConfigMap', 'metadata:', '  name: b', 'data:', '  plain: untouched', ''],
].join('\n');
const RELEASE = {
  name: 'shop',
  manifest: MANIFEST,
  config: { anything: VALUE, size: 'large' },
  chart: { templates: [{ name: 'templates/a.yaml', data: Buffer.from('{{ .Values.anything }}').toString('base64') }] },
};

const packed = (): string => gzipSync(JSON.stringify(RELEASE)).toString('base64');
const twice = (text: string): string => Buffer.from(text).toString('base64');
const unpacked = (text: string): typeof RELEASE => JSON.parse(gunzipSync(Buffer.from(text, 'base64')).toString());

function masked(object: object, kind: string): { data: { release: string } } {
  const engine = new JsonMask(plan, { kind }, { sliced: true });
  const out = [engine.write(Buffer.from(JSON.stringify(object)))];
  while (engine.busy) out.push(engine.step());
  return JSON.parse(Buffer.concat([...out, engine.end()]).toString());
}

function isMaskedInside(release: typeof RELEASE): void {
  assert.ok(!JSON.stringify(release).includes(VALUE));
  assert.match(
    release.manifest,
    /kind: Secret\nmetadata:\n {2}name: a\nstringData:\n {2}anything: \S*sallyport\.masked\./,
  );
  assert.ok(release.manifest.includes('plain: untouched'));
  assert.ok(release.config.anything.includes(MARKER));
  assert.equal(release.config.size, 'large');
  assert.deepEqual(release.chart, RELEASE.chart);
}

describe('masking releases of Helm', () => {
  const metadata = { name: 'sh.helm.release.v1.shop.v1', namespace: 'x', uid: 'u-1' };
  const secret = (release: string, type = 'helm.sh/release.v1') =>
    masked({ kind: 'Secret', type, metadata, data: { release } }, 'Secret').data.release;
  const configMap = (release: string, name = metadata.name) =>
    masked({ kind: 'ConfigMap', metadata: { ...metadata, name }, data: { release } }, 'ConfigMap').data.release;

  it('goes inside, in Secrets and in ConfigMaps, and packs again', () => {
    isMaskedInside(unpacked(Buffer.from(secret(twice(packed())), 'base64').toString()));
    isMaskedInside(unpacked(configMap(packed())));
  });

  it('takes what cannot be unpacked, or is no release, as a whole', () => {
    for (const text of [
      secret(twice(packed()), 'Opaque'),
      secret(twice(packed().slice(0, 80))),
      secret(twice('no gzip')),
    ]) {
      assert.ok(Buffer.from(text, 'base64').toString().startsWith(MARKER), text);
    }
    assert.ok(configMap(packed().slice(0, 80)).startsWith(MARKER));
  });

  it('changes nothing in a release that holds nothing', () => {
    const release = gzipSync(JSON.stringify({ name: 'shop', manifest: 'kind: ConfigMap\n' })).toString('base64');
    assert.equal(configMap(release), release);
    assert.equal(Buffer.from(secret(twice(release)), 'base64').toString(), release);
  });
});
