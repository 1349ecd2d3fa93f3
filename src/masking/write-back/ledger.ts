import { base64Runs } from '../encoded.ts';
import { findMarkers, MARKER } from '../marker.ts';
import { PLACEHOLDER } from './placeholder-search.ts';
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
    const bare = this.inText(sent, 'utf8');
    if (bare === undefined) return undefined;
    // Base64 inside, where it holds one.
    const bytes = Buffer.from(bare.real);
    if (findMarkers(bytes).length === 0) return bare;
    if (bare.real !== sent) return undefined;
    let real = '';
    let traced = '';
    let at = 0;
    for (const { start, end } of base64Runs(bytes, 0, bytes.length)) {
      const inner = Buffer.from(bytes.toString('latin1', start, end), 'base64').toString('latin1');
      if (!inner.includes(MARKER)) continue;
      const restored = this.inText(inner, 'latin1');
      if (restored === undefined) return undefined;
      const between = bytes.toString('utf8', at, start);
      const value = Buffer.from(restored.real, 'latin1').toString('base64');
      real += between + value;
      traced += between + this.tracer.mark({ place: NOWHERE, written: undefined, value });
      at = end;
    }
    if (at === 0) return undefined;
    const rest = bytes.toString('utf8', at);
    return { real: real + rest, traced: traced + rest };
  }

  private inText(sent: string, encoding: 'utf8' | 'latin1'): RestoredText | undefined {
    let real = '';
    let traced = '';
    let at = 0;
    for (const { index, 0: text } of sent.matchAll(PLACEHOLDER)) {
      const origin = this.values.get(text);
      if (origin === undefined) return undefined;
      real += sent.slice(at, index) + Buffer.from(origin.value, 'latin1').toString(encoding);
      traced += sent.slice(at, index) + this.tracer.mark(origin);
      at = index + text.length;
    }
    real += sent.slice(at);
    return sent.slice(at).includes(MARKER) ? undefined : { real, traced: traced + sent.slice(at) };
  }
}

const NOWHERE = { object: '', path: '', rule: '' };
