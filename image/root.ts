import { chmod, copyFile, cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NODE_IN_IMAGE } from './bundle.ts';
import type { SystemLibrary } from './system-libraries.ts';

/** Whom the image runs as: distroless' `nonroot`. */
export const USER = 65_532;
export const PROGRAM = '/app/sallyport.mjs';
export const BILL = '/usr/share/sbom/sallyport.cdx.json';
/** Where the configuration puts spool and recordings unless it says otherwise. */
export const DATA = '/var/lib/sallyport';
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';

/** The lower layer: Node.js, what it is linked with, public authorities, two users. No shell, no package manager, nothing setuid. */
export async function writeBase(root: string, node: string, libraries: readonly SystemLibrary[]): Promise<void> {
  await rm(root, { recursive: true, force: true });
  await put(root, NODE_IN_IMAGE, node, 0o755);
  for (const { path, file } of libraries) await put(root, path, file, 0o755);
  await put(root, AUTHORITIES, AUTHORITIES, 0o644);
  await text(
    root,
    '/etc/passwd',
    `root:x:0:0:root:/:/sbin/nologin\nnonroot:x:${USER}:${USER}:nonroot:/:/sbin/nologin\n`,
  );
  await text(root, '/etc/group', `root:x:0:\nnonroot:x:${USER}:\n`);
  await text(root, '/etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');
  await folder(root, '/tmp', 0o1777);
}

/** The upper layer: the program, its licence, its bill of materials and its folder for data. */
export async function writeProgram(root: string, bundled: string, licence: string, bill: string): Promise<void> {
  await rm(root, { recursive: true, force: true });
  await folder(root, '/app');
  // A volume that Docker makes takes the folder's mode from here.
  await folder(root, DATA, 0o1777);
  await cp(bundled, join(root, 'app'), { recursive: true });
  await folder(root, '/app/parts');
  await folder(root, '/usr/bin');
  await symlink(PROGRAM, join(root, 'usr/bin/sallyport'));
  await put(root, '/app/LICENSE', licence, 0o644);
  await put(root, BILL, bill, 0o644);
}

async function put(root: string, path: string, source: string, mode: number): Promise<void> {
  await folder(root, dirname(path));
  await copyFile(source, join(root, path));
  await chmod(join(root, path), mode);
}

async function text(root: string, path: string, content: string): Promise<void> {
  await folder(root, dirname(path));
  await writeFile(join(root, path), content);
  await chmod(join(root, path), 0o644);
}

/** Modes are set, not left to the umask of whoever builds. */
async function folder(root: string, path: string, mode = 0o755): Promise<void> {
  const parent = dirname(path);
  if (parent !== path) await folder(root, parent);
  await mkdir(join(root, path), { recursive: true });
  await chmod(join(root, path), mode);
}
