import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { ApiError } from '../kubernetes/api-error.ts';
import { CommandError } from './command-io.ts';
import { eventually, type ReleaseTask } from './release-task.ts';

interface Definition {
  readonly kind?: unknown;
  readonly metadata?: { readonly name?: unknown };
  readonly spec?: { readonly group?: unknown };
}

interface Served {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** Brings the API server to the CustomResourceDefinitions in a folder: what is there already is changed, nothing is removed. */
export async function applyKinds(task: ReleaseTask, folder: string): Promise<void> {
  const definitions = await read(folder);
  for (const definition of definitions) {
    const path = pathOf(definition);
    await eventually(task, `${path.name} is applied`, async () => {
      try {
        await task.transport.ask({
          verb: 'patch',
          path,
          query: { fieldManager: 'sallyport-release', force: 'true' },
          patchType: 'application/apply-patch+yaml',
          body: definition,
        });
        return true;
      } catch (error) {
        // What the API server will not have, it will not have later.
        if (error instanceof ApiError && [400, 403, 422].includes(error.status)) throw new CommandError(error.message);
        return (error as Error).message;
      }
    });
  }
  for (const definition of definitions) {
    const path = pathOf(definition);
    await eventually(task, `${path.name} is served`, async () => {
      const { status } = (await task.transport.ask({ verb: 'get', path })) as Served;
      return (
        status?.conditions?.some((one) => one.type === 'Established' && one.status === 'True') === true || 'not yet'
      );
    });
  }
}

const pathOf = (definition: Definition) => ({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  resource: 'customresourcedefinitions',
  name: String(definition.metadata?.name),
});

async function read(folder: string): Promise<Definition[]> {
  // In a ConfigMap's volume the files are links, and folders begin with two dots.
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml'));
  const found: Definition[] = [];
  for (const name of names.sort((a, b) => a.localeCompare(b))) {
    for (const document of parseAllDocuments(await readFile(join(folder, name), 'utf8'))) {
      const definition = document.toJS() as Definition | null;
      if (definition?.kind !== 'CustomResourceDefinition' || definition.spec?.group !== 'sallyport.dev')
        throw new CommandError(`${name}: not a CustomResourceDefinition of sallyport.dev`);
      found.push(definition);
    }
  }
  if (found.length === 0) throw new CommandError(`${folder}: no *.yaml in it`);
  return found;
}
