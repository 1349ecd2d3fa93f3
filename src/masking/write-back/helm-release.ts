import { gzipSync } from 'node:zlib';
import { SallyportError } from '../../errors.ts';
import { isObject, type Json, parseJson, writeJson } from '../../request/json.ts';
import { parseYaml } from '../../request/yaml.ts';
import { inflate } from '../encoded.ts';

/** The type of the Secrets in which Helm keeps its releases. */
export const HELM_TYPE = 'helm.sh/release.v1';

/** How the names of a release's revisions begin, Secrets or ConfigMaps. */
export const REVISION = 'sh.helm.release.v1.';

/**
 * What is in `data.release` of a Helm release: JSON, gzipped, in base64, and in a Secret in base64 once more. It is unpacked within
 * 16 MiB.
 * @returns undefined where it is not that
 */
export function readRelease(data: string): Json | undefined {
  const json = data.startsWith(TWICE)
    ? inflate(Buffer.from(Buffer.from(data, 'base64').toString('latin1'), 'base64'))
    : data.startsWith(ONCE)
      ? inflate(Buffer.from(data, 'base64'))
      : undefined;
  if (json === undefined) return undefined;
  try {
    return parseJson(json.toString());
  } catch (error) {
    if (error instanceof SallyportError) return undefined;
    throw error;
  }
}

/** @param like the form in which it was: that of a Secret, or of a ConfigMap */
export function writeRelease(release: Json, like: string): string {
  const text = gzipSync(writeJson(release), { level: 6 }).toString('base64');
  return like.startsWith(TWICE) ? Buffer.from(text).toString('base64') : text;
}

/** gzip in base64, and that in base64 again, begin so, whatever follows. */
const ONCE = 'H4sI';
const TWICE = 'SDRz';

/** The documents of a manifest. */
export function documentsOf(manifest: string): string[] {
  return manifest.split(/^---.*$/m);
}

/** @returns undefined where it is none, or cannot be read */
export function readDocument(text: string): Json | undefined {
  if (text.trim() === '') return undefined;
  try {
    const tree = parseYaml(text);
    return isObject(tree) ? tree : undefined;
  } catch (error) {
    if (error instanceof SallyportError) return undefined;
    throw error;
  }
}
