import { execFile } from 'node:child_process';
import { copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeImage } from '../../image/oci-image.ts';
import { PAUSE_IMAGE } from './node-config.ts';

/** What test pods run: a static busybox with all its commands. */
export const BUSYBOX_IMAGE = 'sallyport.test/busybox:1';

const run = promisify(execFile);

/** Where a node's containerd listens. */
export function containerdSocket(directory: string): string {
  return join(directory, 'node', 'containerd.sock');
}

/** Makes the two images every node has, from Debian's static busybox, and imports them. */
export async function importNodeImages(directory: string, socket: string): Promise<void> {
  const root = join(directory, 'busybox-root');
  await writeBusyboxRoot(root);
  const busybox = join(directory, 'busybox.tar');
  const pause = join(directory, 'pause.tar');
  await writeImage(busybox, { name: BUSYBOX_IMAGE, layers: [root], command: ['sh'] });
  // The process that holds a pod's namespaces has nothing to do but to stay.
  await writeImage(pause, { name: PAUSE_IMAGE, layers: [root], entrypoint: ['/bin/sleep', '2147483647'] });
  for (const archive of [busybox, pause]) {
    await importImage(socket, archive);
    await rm(archive);
  }
  await rm(root, { recursive: true });
}

/** Imports an OCI archive, so that pods with `imagePullPolicy: IfNotPresent` or `Never` find the image. */
export async function importImage(socket: string, archive: string): Promise<void> {
  await run('ctr', ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', archive]);
}

async function writeBusyboxRoot(root: string): Promise<void> {
  for (const folder of ['bin', 'etc', 'root', 'tmp', 'var', 'home'])
    await mkdir(join(root, folder), { recursive: true });
  await copyFile('/bin/busybox', join(root, 'bin', 'busybox'));
  const { stdout } = await run('/bin/busybox', ['--list']);
  const commands = stdout.split('\n').filter((name) => name !== '' && name !== 'busybox');
  await Promise.all(commands.map((name) => symlink('busybox', join(root, 'bin', name))));
  await writeFile(
    join(root, 'etc', 'passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  );
  await writeFile(join(root, 'etc', 'group'), 'root:x:0:\nnobody:x:65534:\n');
}
