import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { defaultPlan } from './default-plan.ts';
import { parseFieldPath } from './field-path.ts';
import { Placeholders } from './marker.ts';
import { maskStatus } from './status-mask.ts';

const plan = defaultPlan(new Placeholders(Buffer.alloc(32, 3)));
const phone = { path: parseFieldPath('spec.phone'), action: 'Redact', scope: 'Object', rule: 'phone' } as const;
const names = () => ['db', 'shop', 'secrets', 'sallyport:ci'];

function through(
  message: string,
  kind = 'secrets',
  use = plan,
): { message: string; details: { causes: { message: string }[] } } {
  const status = { kind: 'Status', message, details: { name: 'db', kind, causes: [{ message, field: 'data[a]' }] } };
  const out = maskStatus(use, Buffer.from(JSON.stringify(status)), { about: kind, names });
  return JSON.parse(out.toString());
}

suite('messages of a Status', () => {
  test('about an object with masked fields show no value of it', () => {
    const value = 'tulip mania';
    for (const message of [
      `Secret "db" is invalid: patch: Invalid value: "{\\"data\\":{\\"a\\":\\"${value}\\"}}": illegal base64`,
      `Invalid value: {"data":{"a":"${value}: b"}}: no`,
      `data[a]: Invalid value: map[string]interface {}{"a":"${value}"}: no`,
      `data: Invalid value: core.Secret{Data:"${value}", N:{1}}: must be short`,
      `spec: Duplicate value: map[a:${value}]`,
      `Unsupported value: '${value}': supported values: "x", "${value}"`,
      `cannot use \`${value}\` here, can't you see`,
      `Invalid value: "${value}`,
      `Invalid value: ${value}: too long`,
      `Invalid value: ["${value}"]`,
      `testing {"a":"${value}"} failed`,
    ]) {
      for (const use of [through(message), through(message, 'customers', { ...plan, fields: [phone] })]) {
        const { message: out, details } = use;
        assert.ok(!out.includes('tulip') && !out.includes('mania'), `${message} gave ${out}`);
        assert.equal(details.causes[0]!.message.includes('tulip'), false);
      }
    }
    const number = through('spec.pin: Invalid value: 4711: must be less than 1000', 'customers', {
      ...plan,
      fields: [phone],
    });
    assert.match(number.message, /^spec\.pin: Invalid value: sallyport\.masked\.[a-z2-7]{26}: must be less than 1000$/);
  });

  test('keep the names that a reader needs', () => {
    for (const message of [
      'secrets "db" not found',
      'secrets "db" is forbidden: User "sallyport:ci" cannot get resource "secrets" in API group "" in the namespace "shop"',
      'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.password',
      'Operation cannot be fulfilled on secrets "db": the object has been modified',
      'Secret in version "v1" cannot be handled as a Secret: json: cannot unmarshal string into map[string][]uint8',
      'Secret "db" is invalid: data[a.b]: Required value',
    ]) {
      assert.equal(through(message).message, message);
    }
  });

  test('about other objects are read for what is recognised, and status and code stay as they are', () => {
    const message = 'spec.replicas: Invalid value: "many": must be a number';
    assert.equal(through(message, 'deployments').message, message);
    const token = `ghp_${randomBytes(27).toString('hex').slice(0, 36)}`;
    assert.ok(!through(`clone with ${token} failed`, 'deployments').message.includes(token));
    const wide = { ...phone, path: parseFieldPath('status') };
    const out = maskStatus(
      { ...plan, fields: [wide] },
      Buffer.from('{"kind":"Status","status":"Failure","code":404}'),
      {
        about: 'customers',
        names,
      },
    );
    assert.deepEqual(JSON.parse(out.toString()), { kind: 'Status', status: 'Failure', code: 404 });
  });
});
