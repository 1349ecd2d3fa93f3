import { gzipSync } from 'node:zlib';
import { inflate } from './encoded.ts';
import { maskManifest } from './helm-manifest.ts';
import { hideRepeats, isManifest, type ReleaseSecrets, secretsOfRelease } from './helm-release.ts';

/** Masks a release that was unpacked. @returns the same buffer where nothing had to be masked */
export type MaskInside = (json: Buffer, release: ReleaseSecrets) => Buffer;

/** How the names of Helm's releases begin. */
const REVISIONS = 'sh.helm.release.v1.';

/** Whether a string of an object is a release as Helm keeps it in Secrets: in base64, as all of them, and once more. */
export function isReleaseOfSecret(path: readonly string[], type: () => string): boolean {
  return path.length === 2 && path[1] === 'release' && type() === 'helm.sh/release.v1';
}

/** Whether it is one in a ConfigMap: there it is in base64 once. @param start how its text begins */
export function isReleaseOfConfigMap(path: readonly string[], start: () => string, name: () => string): boolean {
  if (path.length !== 2 || path[0] !== 'data' || path[1] !== 'release') return false;
  return start() === 'H4sI' && name().startsWith(REVISIONS);
}

/** @param text the member of a Secret's data @returns the same, masked inside; undefined where it cannot be unpacked */
export function maskReleaseOfSecret(text: string, inside: MaskInside): string | undefined {
  const packed = maskRelease(Buffer.from(Buffer.from(text, 'base64').toString('latin1'), 'base64'), inside);
  return packed === undefined ? undefined : Buffer.from(packed.toString('base64')).toString('base64');
}

/** @param text the member of a ConfigMap's data @returns the same, masked inside; undefined where it cannot be unpacked */
export function maskReleaseOfConfigMap(text: string, inside: MaskInside): string | undefined {
  return maskRelease(Buffer.from(text, 'base64'), inside)?.toString('base64');
}

function maskRelease(packed: Buffer, inside: MaskInside): Buffer | undefined {
  const json = inflate(packed);
  if (json === undefined) return undefined;
  try {
    const masked = inside(json, secretsOfRelease(json));
    return masked === json ? packed : gzipSync(masked, { level: 6 });
  } catch {
    return undefined;
  }
}

/**
 * One text of a release: Secrets in its manifests are masked by structure, and where they are said again.
 * @param path of the text in the release
 * @param hide masks a value, at a place within the text
 * @param inspect masks what is recognised
 */
export function maskTextOfRelease(
  text: string,
  path: readonly string[],
  release: ReleaseSecrets,
  hide: (value: string, within?: string) => string | undefined,
  inspect: (part: string) => string,
): string {
  const isTemplate = path[0] === 'chart' && path[1] !== 'values';
  const masked = isManifest(path)
    ? maskManifest(text, (what) => hide(what.value, `[${what.path}]`), inspect)
    : ((isTemplate ? undefined : hideRepeats(text, release, hide)) ?? inspect(text));
  return masked === text ? text : asChartFile(path, text, masked);
}

/** Files of a chart are bytes, in base64: helm could not read the release if one were not. */
function asChartFile(path: readonly string[], text: string, masked: string): string {
  const isFile = path[0] === 'chart' && isBase64(text);
  return isFile && !isBase64(masked) ? Buffer.from(masked, 'latin1').toString('base64') : masked;
}

const isBase64 = (text: string): boolean => /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0;
