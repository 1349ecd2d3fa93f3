import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { maskJson } from '../../src/cli/mask-tree.ts';
import { defaultPlan } from '../../src/masking/default-plan.ts';
import { DEFAULT_FAMILIES, FAMILIES, type Family } from '../../src/masking/detector.ts';
import { Placeholders } from '../../src/masking/marker.ts';
import { type MaskPlan, replacer } from '../../src/masking/mask-plan.ts';
import { TextMask } from '../../src/masking/text-mask.ts';
import { ENVELOPES } from './layouts/envelopes.ts';
import { LAYOUTS } from './layouts/layouts.ts';
import { Mint } from './layouts/mint.ts';

const planOf = (families: readonly Family[]): MaskPlan => defaultPlan(new Placeholders(Buffer.alloc(32, 5)), families);

function maskText(plan: MaskPlan, text: string, cuts: readonly number[] = []): string {
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

interface Tally {
  secrets: number;
  hidden: number;
  structured: number;
  structuredHidden: number;
  survivors: number;
  damaged: number;
  readonly leaks: string[];
}

function score(plan: MaskPlan, seed: number): Tally {
  const tally: Tally = {
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

suite('quality of masking on layouts of other programs', () => {
  const plan = planOf(DEFAULT_FAMILIES);
  for (const seed of [11, 222, 3333, 44444]) {
    test(`seed ${seed}: recall, false positives and form`, () => {
      const { secrets, hidden, structured, structuredHidden, survivors, damaged, leaks } = score(plan, seed);
      const why = [...new Set(leaks)].join('\n');
      assert.ok(secrets > 900 && survivors > 600);
      assert.ok(hidden / secrets >= 0.97, `recall over all: ${hidden / secrets}\n${why}`);
      assert.ok(
        structuredHidden / structured >= 0.995,
        `recall of structured kinds: ${structuredHidden / structured}\n${why}`,
      );
      assert.ok(damaged / survivors <= 0.005, `false positives: ${damaged / survivors}\n${why}`);
    });
  }

  test('with every family on, what is no secret stays as well', () => {
    const { survivors, damaged, leaks } = score(planOf(FAMILIES), 5);
    assert.ok(
      damaged / survivors <= 0.005,
      `${damaged / survivors}\n${leaks.filter((leak) => leak.startsWith('damaged')).join('\n')}`,
    );
  });

  test('a masker that does nothing would show all of it', () => {
    const nothing = { ...planOf([]), structure: false };
    const { hidden, secrets } = score(nothing, 11);
    assert.ok(hidden / secrets < 0.02, `${hidden / secrets}`);
  });

  test('however a layout is cut, what comes out is the same', () => {
    const mint = new Mint(77);
    for (const [name, layout] of Object.entries(LAYOUTS)) {
      for (const { format, wrap } of ENVELOPES) {
        if (format === 'json') continue;
        mint.begin();
        const input = wrap(layout(mint));
        const whole = maskText(plan, input);
        for (let round = 0; round < 12; round++) {
          const cuts = Array.from({ length: mint.int(9) }, () => mint.int(input.length)).sort((a, b) => a - b);
          assert.equal(maskText(plan, input, cuts), whole, `${name} cut at ${cuts.join()}`);
        }
        const bytes = Array.from({ length: Buffer.byteLength(input) }, (_, i) => i);
        assert.equal(maskText(plan, input, bytes), whole, `${name} byte by byte`);
      }
    }
  });
});
