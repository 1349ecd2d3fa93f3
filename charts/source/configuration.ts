import { z } from 'zod';
import { gateway } from '../../src/config/gateway.ts';

/** Keys of the configuration that the chart writes itself. */
const OWN: Readonly<Record<string, readonly string[] | 'whole'>> = {
  listen: ['address', 'port', 'tls'],
  probes: 'whole',
  upstream: ['kubeconfig', 'context', 'namespace'],
  admission: 'whole',
  certificates: 'whole',
  controller: ['enabled'],
};

export interface Schema {
  type?: string;
  pattern?: string;
  default?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  items?: Schema;
  description?: string;
  enum?: unknown[];
  allOf?: Schema[];
  anyOf?: Schema[];
  [more: string]: unknown;
}

/**
 * The configuration as a value of the chart: what the chart sets is no key of it, and of what is left nothing is required.
 * It is the gateway's own schema, so that helm refuses an unknown key by its name.
 */
export function configurationSchema(): Schema {
  const schema = plain(z.toJSONSchema(gateway, { io: 'input', unrepresentable: 'any' }) as Schema);
  for (const [key, what] of Object.entries(OWN)) {
    if (what === 'whole') delete schema.properties![key];
    else {
      const part = schema.properties![key];
      for (const name of what) delete part?.properties?.[name];
      delete part?.required;
    }
  }
  delete schema.required;
  delete schema['$schema'];
  return schema;
}

/**
 * What helm can read: two strict objects joined by allOf refuse each other's keys, so they become one; Go has no lookahead;
 * defaults are the gateway's to fill in.
 */
function plain(schema: Schema): Schema {
  const { allOf, ...rest } = schema;
  const joined: Schema = { ...rest };
  delete joined['default'];
  if (joined.pattern?.includes('(?')) delete joined.pattern;
  // What is left of others are several patterns of one string, which the gateway checks.
  for (const part of (allOf ?? []).filter((one) => one.properties !== undefined)) {
    joined.type = 'object';
    joined.additionalProperties = false;
    joined.properties = { ...joined.properties, ...part.properties };
    joined.required = [...(joined.required ?? []), ...(part.required ?? [])];
  }
  if (joined.properties !== undefined) {
    joined.properties = Object.fromEntries(Object.entries(joined.properties).map(([key, part]) => [key, plain(part)]));
  }
  if (joined.required !== undefined) {
    joined.required = joined.required.filter((key) => joined.properties?.[key]?.type !== 'object');
    if (joined.required.length === 0) delete joined.required;
  }
  if (typeof joined.additionalProperties === 'object') joined.additionalProperties = plain(joined.additionalProperties);
  if (joined.items !== undefined) joined.items = plain(joined.items);
  if (joined.anyOf !== undefined) joined.anyOf = joined.anyOf.map(plain);
  return joined;
}
