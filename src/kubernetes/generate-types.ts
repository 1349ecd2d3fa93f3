import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { type Definition, typesOf } from './crd-types.ts';

const ROOT = new URL('../../', import.meta.url);

/** Types live in the room that owns the idea: it may stand below this one. */
const ROOMS: Readonly<Record<string, string>> = {
  AgentPolicy: 'src/policy/agent-policy.generated.ts',
  AgentSession: 'src/identity/agent-session.generated.ts',
  AgentFreeze: 'src/identity/agent-freeze.generated.ts',
  ApprovalRequest: 'src/approval/approval-request.generated.ts',
  MaskingRule: 'src/masking/masking-rule.generated.ts',
  SessionRecording: 'src/recording/session-recording.generated.ts',
};

/** File paths in the checkout and what they should hold, for every definition in `crds/`. */
export function generated(): Map<string, string> {
  const files = new Map<string, string>();
  for (const file of readdirSync(new URL('crds/', ROOT)).sort((a, b) => a.localeCompare(b))) {
    if (!file.endsWith('.yaml')) continue;
    // A file may hold several objects, and others than definitions (crds/guards.yaml).
    for (const document of parseAllDocuments(readFileSync(new URL(`crds/${file}`, ROOT), 'utf8'))) {
      if (document.errors.length > 0) throw new Error(`crds/${file}: ${document.errors[0]!.message}`);
      const definition = document.toJS() as Definition & { kind?: string };
      if (definition.kind !== 'CustomResourceDefinition') continue;
      const { kind } = definition.spec.names;
      const path = ROOMS[kind];
      if (path === undefined) throw new Error(`crds/${file}: say in ROOMS which room owns ${kind}`);
      files.set(path, typesOf(definition, `crds/${file}`));
    }
  }
  return files;
}

if (import.meta.main) {
  for (const [path, text] of generated()) writeFileSync(new URL(path, ROOT), text);
}
