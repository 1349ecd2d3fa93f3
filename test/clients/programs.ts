import { buildFromModules } from '../cluster/go-build.ts';

export const K9S_VERSION = '0.50.18';

/** k9s as its authors release it, built from its Go module into the cache folder; minutes the first time. */
export async function k9s(): Promise<string> {
  return await buildFromModules(
    {
      product: 'k9s',
      version: K9S_VERSION,
      program: 'k9s',
      module: 'github.com/derailed/k9s',
      moduleVersion: `v${K9S_VERSION}`,
      package: 'github.com/derailed/k9s',
      linkerFlags: [`-X github.com/derailed/k9s/cmd.version=v${K9S_VERSION}`],
    },
    (line) => process.stderr.write(`${line}\n`),
  );
}
