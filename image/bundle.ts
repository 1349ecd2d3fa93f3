import { readFileSync } from 'node:fs';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { build, type Plugin } from 'esbuild';

const ROOT = join(import.meta.dirname, '..');

const LEAN_HTTP = 'lean-http';

/** Where the image has its Node.js, as distroless images have it. */
export const NODE_IN_IMAGE = '/nodejs/bin/node';

/** Node.js modules of dependencies call `require`, which modules of ours do not have. */
const BANNER = `#!${NODE_IN_IMAGE}
import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);`;

/**
 * Bundles the program: `sallyport.mjs`, and beside it parts that are loaded when a command asks for them, each with its
 * source map. With everything in one file every start would take in what only few commands need (three times the memory).
 * @returns the packages that are in it, `name@version`
 */
export async function bundle(folder: string): Promise<string[]> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [
      { in: 'src/cli/main.ts', out: 'sallyport' },
      // Threads: whoever starts one looks for it beside itself, among the parts.
      { in: 'src/gateway/approval/diff-thread.ts', out: 'parts/diff-thread' },
      { in: 'src/cli/verify-thread.ts', out: 'parts/verify-thread' },
    ],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'parts/[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // Names stay: errors and logs show them.
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    metafile: true,
    plugins: [leanClient, leanHTTP],
    banner: { js: BANNER },
    logLevel: 'warning',
  });
  await chmod(join(folder, 'sallyport.mjs'), 0o755);
  const inputs = Object.keys(metafile.inputs).filter((path) => !path.startsWith(`${LEAN_HTTP}:`));
  const folders = inputs.map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  const packages = new Set(folders.filter((path) => path !== undefined).map((path) => nameAndVersion(path)));
  return [...packages].sort((a, b) => a.localeCompare(b));
}

function nameAndVersion(path: string): string {
  const manifest = readFileSync(join(ROOT, path, 'package.json'), 'utf8');
  const { name, version } = JSON.parse(manifest) as { name: string; version: string };
  return `${name}@${version}`;
}

/** The Kubernetes client has a module for each kind and none with effects of its own, but does not say so. */
const leanClient: Plugin = {
  name: 'lean-client',
  setup(builder) {
    builder.onResolve({ filter: /.*/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
      if (kind === 'entry-point' || pluginData === leanClient) return undefined;
      const resolved = await builder.resolve(path, { kind, importer, resolveDir, pluginData: leanClient });
      if (!resolved.path.includes('node_modules/@kubernetes/client-node/dist/')) return undefined;
      return { path: resolved.path, sideEffects: false };
    });
  },
};

/**
 * What undici's dispatchers do not need (fetch, WebSockets, mocks) is run by whoever calls it; its index would run all of it at
 * once. And `node:http` is required, not imported: an import asks it for every name that it exports, and for some of them
 * Node.js compiles an undici of its own (15 MB resident).
 */
const leanHTTP: Plugin = {
  name: LEAN_HTTP,
  setup(builder) {
    const namespace = LEAN_HTTP;
    builder.onResolve({ filter: /^(node:)?http$/ }, ({ kind }) =>
      kind === 'import-statement' ? { path: 'node:http', namespace } : undefined,
    );
    builder.onResolve({ filter: /^\.\/lib\/(web|mock)\// }, async ({ path, kind, importer, resolveDir }) => {
      if (!importer.endsWith('node_modules/undici/index.js')) return undefined;
      const resolved = await builder.resolve(path, { kind, importer: `${importer}#lean`, resolveDir });
      return { path: resolved.path, namespace };
    });
    builder.onLoad({ filter: /.*/, namespace }, ({ path }) => ({ resolveDir: dirname(path), contents: leanly(path) }));
  },
};

function leanly(path: string): string {
  const required = `require(${JSON.stringify(path)})`;
  if (path === 'node:http') return `module.exports = ${required};`;
  // undici's index makes one of these at once; nothing of ours has a use for it.
  if (path.endsWith('/cachestorage.js')) return 'module.exports = { CacheStorage: class {} };';
  return `module.exports = new Proxy({}, {
  get: (_, name) => function (...args) {
    const wanted = ${required}[name];
    return new.target ? Reflect.construct(wanted, args) : wanted(...args);
  },
});`;
}
