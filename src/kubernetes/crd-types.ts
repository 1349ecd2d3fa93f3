/** The part of openAPIV3Schema that CustomResourceDefinitions here use. */
export interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly format?: string;
  readonly nullable?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
}

export interface Definition {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly storage: boolean;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

const WIDTH = 116;

/**
 * TypeScript interfaces of a CustomResourceDefinition's stored version; descriptions, defaults and bounds become TSDoc.
 * @param source named in the head of the file.
 * @throws Error for a schema that this generator does not know how to say.
 */
export function typesOf(definition: Definition, source: string): string {
  const { group, names, versions } = definition.spec;
  const version = versions.find(({ storage }) => storage);
  if (version === undefined) throw new Error(`${source}: no stored version`);
  const writer = new Writer(names.kind, source);
  writer.root(`${group}/${version.name}`, version.schema.openAPIV3Schema);
  return `// Generated from ${source} by \`npm run generate\`; do not edit.\n\n${writer.text()}`;
}

class Writer {
  readonly #kind: string;
  readonly #source: string;
  readonly #interfaces: string[] = [];
  readonly #names = new Set<string>();

  constructor(kind: string, source: string) {
    this.#kind = kind;
    this.#source = source;
  }

  text(): string {
    return `${this.#interfaces.join('\n\n')}\n`;
  }

  root(apiVersion: string, schema: Schema): void {
    const slot = this.#interfaces.push('') - 1;
    const { spec, status } = schema.properties ?? {};
    const required = new Set(schema.required);
    const lines = [
      ...doc(schema, ''),
      `export interface ${this.#kind} {`,
      `  readonly apiVersion?: '${apiVersion}';`,
      `  readonly kind?: '${this.#kind}';`,
      '  readonly metadata: {',
      '    readonly name: string;',
      '    readonly namespace?: string;',
      '    readonly uid?: string;',
      '    readonly generation?: number;',
      '    readonly resourceVersion?: string;',
      '    readonly creationTimestamp?: string;',
      '    readonly labels?: Readonly<Record<string, string>>;',
      '    readonly annotations?: Readonly<Record<string, string>>;',
      '  };',
    ];
    for (const [name, part] of Object.entries({ spec, status })) {
      if (part === undefined) continue;
      const type = this.#typeOf(part, `${this.#kind}${pascal(name)}`);
      lines.push(`  readonly ${name}${required.has(name) ? '' : '?'}: ${type};`);
    }
    this.#interfaces[slot] = `${lines.join('\n')}\n}`;
  }

  #interface(name: string, schema: Schema): string {
    if (this.#names.has(name)) throw new Error(`${this.#source}: two types would be named ${name}`);
    this.#names.add(name);
    const slot = this.#interfaces.push('') - 1;
    const required = new Set(schema.required);
    const lines = [...doc(schema, ''), `export interface ${name} {`];
    // What lies under the spec is named after the kind: AgentPolicyRule, not AgentPolicySpecRule.
    const prefix = name.replace(/(Spec|Status)$/, name.endsWith('Status') ? 'Status' : '');
    for (const [property, part] of Object.entries(schema.properties ?? {})) {
      const one = part.type === 'array' ? singular(property) : property;
      // `decision` beside `decisions`: two types of one name otherwise.
      const own = one !== property && schema.properties?.[one] !== undefined ? `${property}Item` : one;
      const type = this.#typeOf(part, `${prefix}${pascal(own)}`);
      lines.push(...doc(part, '  '), `  readonly ${key(property)}${required.has(property) ? '' : '?'}: ${type};`);
    }
    this.#interfaces[slot] = `${lines.join('\n')}\n}`;
    return name;
  }

  #typeOf(schema: Schema, name: string): string {
    const type = this.#bare(schema, name);
    return schema.nullable === true ? `${type} | null` : type;
  }

  #bare(schema: Schema, name: string): string {
    if (schema['x-kubernetes-int-or-string'] === true) return 'number | string';
    if (schema.enum !== undefined) return schema.enum.map((value) => literal(value)).join(' | ');
    switch (schema.type) {
      case 'string':
      case 'boolean':
        return schema.type;
      case 'integer':
      case 'number':
        return 'number';
      case 'array': {
        if (schema.items === undefined) throw new Error(`${this.#source}: an array without items at ${name}`);
        const item = this.#typeOf(schema.items, name);
        return `readonly ${item.includes('|') ? `(${item})` : item}[]`;
      }
      case 'object':
        break;
      default:
        if (schema['x-kubernetes-preserve-unknown-fields'] === true) return 'unknown';
        throw new Error(`${this.#source}: no type at ${name}`);
    }
    if (schema.properties !== undefined) return this.#interface(name, schema);
    if (typeof schema.additionalProperties === 'object') {
      return `Readonly<Record<string, ${this.#typeOf(schema.additionalProperties, name)}>>`;
    }
    return 'Readonly<Record<string, unknown>>';
  }
}

function doc(schema: Schema, indent: string): string[] {
  const text = (schema.description ?? '').replaceAll('*/', '*\\/').trim().replace(/\s+/g, ' ');
  const notes = [text, ...bounds(schema)].filter((part) => part !== '');
  if (notes.length === 0) return [];
  const lines = wrap(notes.join(' '), WIDTH - indent.length - 3);
  if (lines.length === 1 && lines[0]!.length + indent.length + 7 <= WIDTH) return [`${indent}/** ${lines[0]} */`];
  return [`${indent}/**`, ...lines.map((line) => `${indent} * ${line}`), `${indent} */`];
}

function bounds(schema: Schema): string[] {
  const notes: string[] = [];
  if (schema.default !== undefined) notes.push(`Default: ${JSON.stringify(schema.default)}.`);
  if (schema.format === 'date-time') notes.push('RFC 3339.');
  if (schema.minimum !== undefined && schema.maximum !== undefined) {
    notes.push(`From ${schema.minimum} to ${schema.maximum}.`);
  }
  if (schema.maxItems !== undefined) notes.push(`At most ${schema.maxItems} items.`);
  return notes;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value.replace(/[\\']/g, '\\$&')}'` : JSON.stringify(value);
}

function key(property: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(property) ? property : literal(property);
}

function pascal(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function singular(name: string): string {
  if (name.endsWith('ies')) return `${name.slice(0, -3)}y`;
  if (/(ss|us)$/.test(name)) return name;
  return name.endsWith('s') ? name.slice(0, -1) : name;
}
