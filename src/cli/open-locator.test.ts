import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openLocator } from './open-locator.ts';

const io = { stderr: () => {} };

/** Addresses of all modules that a process loads which opens this store, and verifies nothing. */
async function loaded(locator: string): Promise<string[]> {
  const program = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context); } });
    await import(${JSON.stringify(new URL('recording-verify.ts', import.meta.url).href)});
    const { openLocator } = await import(${JSON.stringify(new URL('open-locator.ts', import.meta.url).href)});
    await openLocator(${JSON.stringify(locator)}, { stderr: () => {} });
    process.stdout.write(JSON.stringify(loaded));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  return JSON.parse(stdout) as string[];
}

test('a store in a folder is opened without the packages that a bucket needs', async () => {
  const packages = (urls: readonly string[]): string[] => urls.filter((url) => url.includes('/node_modules/'));
  assert.deepEqual(packages(await loaded('/var/lib/nothing')), []);
  assert.notDeepEqual(packages(await loaded('s3://bucket/prefix/?region=eu-west-1')), []);
});

test('what is no locator is said with its option', async () => {
  for (const [locator, reason] of [
    ['ftp://host/', /--store: a store is a folder/],
    ['s3://key:secret@bucket/', /--store: a store’s locator holds no keys/],
    [
      's3://bucket/?endpoint=http://192.0.2.1:9000',
      /--store: http:\/\/192\.0\.2\.1:9000: recordings go over https only/,
    ],
    ['s3://B/', /--store: s3\.bucket: /],
    ['s3://bucket/?colour=red', /--store: a store’s locator takes region/],
  ] as const) {
    await assert.rejects(openLocator(locator, io), reason);
  }
});
