import { gzipSync } from 'node:zlib';
import { SallyportError } from '../../errors.ts';
import { isObject, type Json, parseJson, writeJson } from '../../request/json.ts';
import { parseYaml } from '../../request/yaml.ts';
import { inflate } from '../encoded.ts';

/** The type of the Secrets in which Helm keeps its releases. */
export const HELM_TYPE = 'helm.sh/release.v1';

/**
 * What is in `data.release` of a Helm release's Secret: JSON, gzipped, in base64, in base64. It is unpacked within 16 MiB.
 * @returns undefined where it is not that
 */
export function readRelease(data: string): Json | undefined {
  // gzip in base64 in base64 begins so, whatever follows.
  if (!data.startsWith('SDRz')) return undefined;
  const json = inflate(Buffer.from(Buffer.from(data, 'base64').toString('latin1'), 'base64'));
  if (json === undefined) return undefined;
  try {
    return parseJson(json.toString());
  } catch (error) {
    if (error instanceof SallyportError) return undefined;
    throw error;
  }
}

export function writeRelease(release: Json): string {
  return Buffer.from(gzipSync(writeJson(release), { level: 6 }).toString('base64')).toString('base64');
}

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
