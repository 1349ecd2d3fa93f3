import { maskJson } from '../../../src/cli/mask-tree.ts';
import { type MaskPlan, replacer } from '../../../src/masking/mask-plan.ts';
import { TextMask } from '../../../src/masking/text-mask.ts';
import { ENVELOPES } from './envelopes.ts';
import { LAYOUTS } from './layouts.ts';
import { Mint } from './mint.ts';

/** @param cuts where the text is cut on its way */
export function maskText(plan: MaskPlan, text: string, cuts: readonly number[] = []): string {
  const mask = new TextMask(plan.recognizer, replacer(plan, 'pod', 'log'));
  const bytes = Buffer.from(text);
  const out: Buffer[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    out.push(mask.write(bytes.subarray(from, to)));
    from = to;
  }
  return Buffer.concat([...out, mask.end()]).toString();
}

/** An output as a reader could see it: as it is, unescaped as often as it was escaped, and what base64 holds. */
function viewsOf(output: string): string[] {
  const views = [output];
  for (let i = 0; i < 4; i++) {
    views.push(views[i]!.replace(/\\(["\\nt/])/g, (_, c: string) => (c === 'n' ? '\n' : c === 't' ? '\t' : c)));
  }
  const joined = output.replace(/\\n|\r?\n(?:2026\S+Z )?/g, '');
  for (const text of [output, joined]) {
    for (const [run] of text.matchAll(/[A-Za-z0-9+/]{40,}={0,2}/g)) views.push(Buffer.from(run, 'base64').toString());
  }
  return views.map((view) => view.replace(/\x1b\[[0-9;]*m/g, ''));
}

/** What became of the secrets and of the survivors in all layouts, in each envelope. */
export interface LayoutScore {
  secrets: number;
  hidden: number;
  structured: number;
  structuredHidden: number;
  survivors: number;
  damaged: number;
  readonly leaks: string[];
}

export function scoreLayouts(plan: MaskPlan, seed: number): LayoutScore {
  const tally: LayoutScore = {
    secrets: 0,
    hidden: 0,
    structured: 0,
    structuredHidden: 0,
    survivors: 0,
    damaged: 0,
    leaks: [],
  };
  const mint = new Mint(seed);
  for (const [name, layout] of Object.entries(LAYOUTS)) {
    for (const { name: envelope, format, wrap } of ENVELOPES) {
      const { secrets, survivors } = mint.begin();
      const input = wrap(layout(mint));
      const output = format === 'json' ? maskJson(plan, Buffer.from(input)).toString() : maskText(plan, input);
      if (format === 'json') JSON.parse(output);
      const views = viewsOf(output);
      const seen = (value: string): boolean => views.some((view) => view.includes(value));
      for (const { kind, value, structured } of secrets) {
        const part = Math.max(6, Math.ceil(value.length * 0.6));
        const leaks = seen(value.slice(0, part)) || seen(value.slice(-part));
        tally.secrets++;
        if (structured) tally.structured++;
        if (leaks) tally.leaks.push(`${name}, ${kind}, ${envelope}`);
        else {
          tally.hidden++;
          if (structured) tally.structuredHidden++;
        }
      }
      // Base64 in an object is put back whole when it is written back: it goes whole, with what else is in it.
      if (envelope.startsWith('base64') && secrets.length > 0) continue;
      for (const value of survivors) {
        tally.survivors++;
        if (!seen(value)) {
          tally.damaged++;
          tally.leaks.push(`damaged: ${name}, ${envelope}: ${value.slice(0, 40)}`);
        }
      }
    }
  }
  return tally;
}
