import { maskManifest } from './helm-manifest.ts';
import { JsonCursor } from './json-cursor.ts';
import { readJsonString } from './json-string.ts';

/** What the Secrets of a release hold: its values and notes may say it again, under names that tell nothing. */
export type ReleaseSecrets = ReadonlySet<string>;

/** A shorter one is said elsewhere by chance. */
const SHORTEST = 5;
/** From here on, within a longer text too. */
const SHORTEST_WITHIN = 8;

/** @param json a release as Helm keeps it, unpacked @throws SallyportError SP_MASKING_UNREADABLE */
export function secretsOfRelease(json: Buffer): ReleaseSecrets {
  const secrets = new Set<string>();
  const cursor = new JsonCursor(json);
  const collect = (): void => {
    if (cursor.peek() !== 0x22) return void cursor.skip();
    maskManifest(
      readJsonString(cursor.text(cursor.string())),
      ({ value }) => {
        for (const text of [value, Buffer.from(value, 'latin1').toString('base64')]) {
          if (text.length >= SHORTEST) secrets.add(text);
        }
        return '';
      },
      () => '',
    );
  };
  const hook = (): void => {
    if (cursor.peek() !== 0x7b) return void cursor.skip();
    cursor.members((key) => {
      if (readJsonString(cursor.text(key)) === 'manifest') collect();
      else cursor.skip();
    });
  };
  cursor.members((key) => {
    const name = readJsonString(cursor.text(key));
    if (name === 'manifest') collect();
    else if (name === 'hooks' && cursor.peek() === 0x5b) {
      cursor.enter();
      if (cursor.empty(0x5d)) return;
      do hook();
      while (cursor.more(0x5d));
    } else cursor.skip();
  });
  return secrets;
}

export function isManifest(path: readonly string[]): boolean {
  return (
    (path.length === 1 && path[0] === 'manifest') ||
    (path.length === 3 && path[0] === 'hooks' && path[2] === 'manifest')
  );
}

/**
 * Hides what is said again of the release's Secrets.
 * @param hide what to write for a value
 * @returns undefined where nothing is
 */
export function hideRepeats(
  text: string,
  secrets: ReleaseSecrets,
  hide: (value: string) => string | undefined,
): string | undefined {
  if (secrets.has(text)) return hide(text) ?? '';
  let out = text;
  for (const value of secrets) {
    if (value.length >= SHORTEST_WITHIN && out.includes(value)) out = out.replaceAll(value, () => hide(value) ?? '');
  }
  return out === text ? undefined : out;
}
