import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { maskManifest } from './helm-manifest.ts';
import { hideRepeats, secretsOfRelease } from './helm-release.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const found: string[] = [];
const mask = (text: string): string =>
  maskManifest(
    text,
    ({ value, path }) => {
      found.push(`${path}=${value}`);
      return 'HIDDEN';
    },
    (part) => part,
  );

suite('manifests of Helm', () => {
  const styles = [
    'main: tulip',
    'main: "tulip"',
    "main: 'tulip'",
    'main: |\n    tulip\n    tulip two',
    'main: >-\n    tulip',
    'main: |2\n      tulip',
    'main: &a tulip\n  copy: *a',
    '"main": !!str tulip',
    '? main\n  : tulip',
    'main: tulip # tulip is said in a comment as well'.replace(/ #.*/, ''),
    'main:\n    - tulip',
    'main: tu\n    lip',
  ];
  const rest = 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n';

  test('whatever stands in a Secret is hidden, in every style of YAML', () => {
    for (const style of styles) {
      const text = `${rest}stringData:\n  ${style}\n  last: x\n---\nkind: ConfigMap\ndata:\n  main: rose\n`;
      const out = mask(text);
      assert.ok(!out.includes('tulip') && !out.includes('tu\n'), `${style} gave ${out}`);
      const [secret, map] = parseAllDocuments(out).map((document) => document.toJS());
      assert.equal(secret.stringData.last, 'HIDDEN', style);
      assert.equal(map.data.main, 'rose');
    }
    for (const text of [
      `{"kind":"Secret","metadata":{"name":"db"},"stringData":{"main":"tulip"}}`,
      `kind: List\nitems:\n- kind: Secret\n  stringData: {main: tulip}\n`,
      `stringData: {main: tulip}\nkind: Secret\n`,
      `x: &s {main: tulip}\nkind: "Secret"\nstringData: *s\n`,
      `x: &s {main: tulip}\nkind: Secret\nstringData:\n  <<: *s\n`,
      `---\n${rest}stringData:\n  main: tulip\n`,
      `kind: Secret\nstringData:\n  main: [tulip\n`,
    ]) {
      assert.ok(!mask(text).includes('tulip'), text);
    }
  });

  test('data stays base64 of what is written, and is told as it is meant', () => {
    found.length = 0;
    const out = mask(`${rest}data:\n  main: ${base64('tulip')}\n  other: "${base64('rose')}"\n  empty: ""\n`);
    assert.deepEqual(parseAllDocuments(out)[0]!.toJS().data, {
      main: base64('HIDDEN'),
      other: base64('HIDDEN'),
      empty: '',
    });
    assert.deepEqual(found, ['Secret/db.data.main=tulip', 'Secret/db.data.other=rose']);
  });

  test('what a release says again of its Secrets', () => {
    const release = {
      manifest: `${rest}stringData:\n  main: tulip-mania\n`,
      hooks: [{ manifest: `${rest}data: {a: ${base64('crocus')}}` }],
    };
    const secrets = secretsOfRelease(Buffer.from(JSON.stringify(release)));
    const hide = (): string => 'HIDDEN';
    assert.equal(hideRepeats('tulip-mania', secrets, hide), 'HIDDEN');
    assert.equal(hideRepeats('crocus', secrets, hide), 'HIDDEN');
    assert.equal(hideRepeats('your password is tulip-mania.', secrets, hide), 'your password is HIDDEN.');
    assert.equal(hideRepeats('a crocus', secrets, hide), undefined);
    assert.equal(hideRepeats('rose', secrets, hide), undefined);
  });
});
