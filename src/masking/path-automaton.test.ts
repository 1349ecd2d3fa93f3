import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { parseFieldPath, type Segment } from './field-path.ts';
import { PathAutomaton } from './path-automaton.ts';

interface Step {
  readonly name: string;
  readonly members: Readonly<Record<string, string>>;
}

/** What a path means, written down without any state: `**` is any number of steps. */
function matches(path: readonly Segment[], steps: readonly Step[]): boolean {
  const [segment, ...rest] = path;
  const [step, ...deeper] = steps;
  if (segment === undefined) return step === undefined;
  if (segment.is === 'deep') {
    if (rest.length === 0) return true;
    return matches(rest, steps) || (step !== undefined && matches(path, deeper));
  }
  if (step === undefined) return false;
  const fits =
    segment.is === 'any' ||
    (segment.is === 'key' && segment.key === step.name) ||
    (segment.is === 'item' && step.members[segment.key] === segment.value);
  return fits && matches(rest, deeper);
}

suite('field paths as an automaton', () => {
  const name = fc.constantFrom('a', 'b', 'c', '0', '1');
  const segment = fc.oneof(
    name.map((key) => (/\d/.test(key) ? `[${key}]` : `.${key}`)),
    fc.constantFrom('.*', '[*]', '.**', '[a=x]', '[b=x]'),
  );
  const path = fc.array(segment, { minLength: 1, maxLength: 5 }).map((parts) => `.q${parts.join('')}`.slice(1));
  const step = fc.record({
    name,
    members: fc.constantFrom({}, { a: 'x' }, { b: 'x' }, { a: 'x', b: 'x' }, { a: 'y' }),
  });

  test('says for every place which of the paths ends there, as the paths one by one say', () => {
    fc.assert(
      fc.property(
        fc.array(path, { maxLength: 4 }),
        fc.array(step, { maxLength: 6 }),
        fc.boolean(),
        (texts, steps, again) => {
          const paths = texts.map((text) => parseFieldPath(text));
          const automaton = new PathAutomaton(paths.map((of) => ({ path: of, of })));
          const walk: Step[] = [{ name: 'q', members: {} }, ...steps];
          for (let round = 0; round < (again ? 2 : 1); round++) {
            let state = automaton.root;
            for (const [i, { name: key, members }] of walk.entries()) {
              state = state.item(key, (member) => (members as Record<string, string>)[member]);
              const want = paths.find((of) => matches(of, walk.slice(0, i + 1)));
              assert.equal(state.ended, want);
              if (state.dead && i + 1 < walk.length) assert.ok(!paths.some((of) => matches(of, walk.slice(0, i + 2))));
            }
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('paths that would have millions of states take bounded memory and still count', () => {
    const text = `**.a${'.*'.repeat(28)}`;
    const automaton = new PathAutomaton([{ path: parseFieldPath(text), of: 1 }]);
    let state = automaton.root;
    const steps: string[] = [];
    for (let i = 0; i < 20_000; i++) {
      const step = (i * i) % 7 < 3 ? 'a' : 'b';
      steps.push(step);
      state = state.step(step);
      assert.equal(state.ended, i >= 28 && steps[i - 28] === 'a' ? 1 : undefined);
    }
  });
});
