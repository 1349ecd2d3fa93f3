import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { AgentFreezeSpec } from '../identity/agent-freeze.generated.ts';
import { type Definition, type Schema, typesOf } from './crd-types.ts';
import { generated } from './generate-types.ts';

function definition(spec: Schema): Definition {
  return {
    spec: {
      group: 'test.example',
      names: { kind: 'Thing' },
      versions: [
        {
          name: 'v1',
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', required: ['spec'], properties: { spec } } },
        },
      ],
    },
  };
}

test('the committed types are those of crds/ (else: npm run generate)', () => {
  const files = generated();
  assert.ok(files.size > 0);
  for (const [path, text] of files) {
    assert.equal(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'), text, path);
  }
});

test('every form of a schema has its type', () => {
  const text = typesOf(
    definition({
      type: 'object',
      required: ['mode'],
      properties: {
        mode: { type: 'string', enum: ['Enforce', "it's"], default: 'Enforce', description: 'How it acts. */' },
        ports: { type: 'array', maxItems: 4, items: { type: 'integer', minimum: 1, maximum: 65535 } },
        rules: {
          type: 'array',
          items: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
        },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
        target: { 'x-kubernetes-int-or-string': true },
        anything: { 'x-kubernetes-preserve-unknown-fields': true },
        until: { type: 'string', format: 'date-time', nullable: true },
        'odd-name': { type: 'boolean' },
      },
    }),
    'crds/things.yaml',
  );
  for (const expected of [
    "readonly apiVersion?: 'test.example/v1';",
    'readonly spec: ThingSpec;',
    '/** How it acts. *\\/ Default: "Enforce". */',
    "readonly mode: 'Enforce' | 'it\\'s';",
    'readonly ports?: readonly number[];',
    'readonly rules?: readonly ThingRule[];',
    'readonly labels?: Readonly<Record<string, string>>;',
    'readonly target?: number | string;',
    'readonly anything?: unknown;',
    'readonly until?: string | null;',
    "readonly 'odd-name'?: boolean;",
    'export interface ThingRule {\n  readonly name: string;\n}',
  ]) {
    assert.ok(text.includes(expected), `${expected}\n${text}`);
  }
});

test('a schema that it cannot say is an error, not a guess', () => {
  assert.throws(() => typesOf(definition({ type: 'object', properties: { x: {} } }), 'x'), /no type at ThingX/);
  assert.throws(() => typesOf(definition({ type: 'array' }), 'x'), /an array without items/);
});

/** Only true where everything that the CRD lets through fits what the room reads. */
type Reads<Read, Declared> = [Declared] extends [Read] ? true : false;

test('what the identity room reads of a freeze is what crds/ declares (checked by the compiler)', () => {
  const reads: Reads<{ readonly agent: string; readonly reason?: string }, AgentFreezeSpec> = true;
  assert.ok(reads);
});
