import { base64Runs } from '../base64-scan.ts';
import { MARKER } from '../marker.ts';
import { holdsPlaceholder, PLACEHOLDER } from './placeholder-search.ts';
import type { RestoredText } from './text-restore.ts';
import type { Origin, Tracer } from './tracer.ts';

/**
 * Values by their placeholders, wherever these now stand: of what Helm rendered with values that it had read. Where one
 * placeholder could mean two values it means none.
 */
export class Ledger {
  private readonly tracer: Tracer;
  private readonly values = new Map<string, Origin | undefined>();

  constructor(tracer: Tracer, origins: readonly Origin[]) {
    this.tracer = tracer;
    for (const origin of origins) {
      if (origin.written === undefined || !origin.written.startsWith(MARKER)) continue;
      const known = this.values.get(origin.written);
      const differs = this.values.has(origin.written) && known?.value !== origin.value;
      this.values.set(origin.written, differs ? undefined : origin);
    }
  }

  /** @returns undefined where a placeholder in it is not known, or is not exactly one of those that are */
  restore(sent: string): RestoredText | undefined {
    const bytes = Buffer.from(sent);
    const text = bytes.toString('latin1');
    const found: { readonly start: number; readonly end: number; readonly origin: Origin }[] = [];
    for (const { index, 0: placeholder } of text.matchAll(PLACEHOLDER)) {
      const origin = this.values.get(placeholder);
      if (origin === undefined) return undefined;
      found.push({ start: index, end: index + placeholder.length, origin });
    }
    for (const { start, end } of base64Runs(bytes, 0, bytes.length)) {
      const inner = Buffer.from(text.slice(start, end), 'base64').toString('latin1');
      if (!inner.includes(MARKER)) continue;
      const value = this.decoded(inner);
      if (value === undefined) return undefined;
      found.push({ start, end, origin: { place: NOWHERE, written: undefined, value } });
    }
    if (found.length === 0) return undefined;
    let real = '';
    let traced = '';
    let at = 0;
    for (const { start, end, origin } of found.sort((a, b) => a.start - b.start)) {
      real += text.slice(at, start) + origin.value;
      traced += text.slice(at, start) + this.tracer.mark(origin);
      at = end;
    }
    const [whole, tokens] = [real, traced].map((part) => Buffer.from(part + text.slice(at), 'latin1').toString());
    // Cut ones, and other encodings, are no one's.
    return holdsPlaceholder(tokens!) ? undefined : { real: whole!, traced: tokens! };
  }

  /** What base64 holds, with its values, in base64. */
  private decoded(inner: string): string | undefined {
    let known = true;
    const real = inner.replace(PLACEHOLDER, (placeholder) => {
      const origin = this.values.get(placeholder);
      known &&= origin !== undefined;
      return origin?.value ?? '';
    });
    return known && !inner.replace(PLACEHOLDER, '').includes(MARKER)
      ? Buffer.from(real, 'latin1').toString('base64')
      : undefined;
  }
}

const NOWHERE = { object: '', path: '', rule: '' };
