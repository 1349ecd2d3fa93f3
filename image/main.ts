import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { buildImage, buildProgram, IMAGE_NAME } from './build.ts';

const USAGE = `node image/main.ts image|program [--name NAME:TAG] [--out FOLDER]

  image    the image, as an OCI archive; its bill of materials beside it
  program  only what stands above the base image, as image/Containerfile takes it
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string', default: IMAGE_NAME },
    out: { type: 'string', default: join(import.meta.dirname, '..', 'dist') },
  },
});
// Whoever reads only the first line (`| head -1`) is no reason to fail.
process.stdout.on('error', () => undefined);
const print = (line: string): boolean => process.stdout.write(`${line}\n`);

switch (positionals[0]) {
  case 'program':
    await buildProgram(values.out);
    break;
  case 'image': {
    const { archive, name, digest, size } = await buildImage(values.out, values.name);
    const path = relative(process.cwd(), archive);
    print(`${name}: ${(size / 1e6).toFixed(1)} MB compressed, ${digest}`);
    print(`  docker load -i ${path}`);
    print(`  kind load image-archive ${path}`);
    print(`  ctr -n k8s.io images import ${path}`);
    break;
  }
  default:
    process.stderr.write(USAGE);
    process.exitCode = 2;
}
