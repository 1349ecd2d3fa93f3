import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errors, type JWTHeaderParameters } from 'jose';
import { makeKey } from '../../test/identity/issuer.ts';
import { KeySet, type KeySetOptions, KeysUnavailable } from './jwks.ts';

const token = { payload: '', signature: '' };
const header = (kid: string, alg = 'ES256') => ({ kid, alg }) as JWTHeaderParameters;

function harness(options: Partial<KeySetOptions> = {}) {
  const state = {
    now: 1_000_000,
    loads: 0,
    serve: { keys: [] } as unknown,
    failure: undefined as Error | undefined,
    hang: false,
  };
  const keys = new KeySet({
    now: () => state.now,
    load: async (signal) => {
      state.loads += 1;
      if (state.hang) {
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      }
      if (state.failure) throw state.failure;
      return state.serve as Record<string, unknown>;
    },
    ...options,
  });
  return { state, keys };
}

const [one, two] = await Promise.all([makeKey('one'), makeKey('two')]);

describe('the keys of an issuer', () => {
  it('rotate: an unknown kid loads them anew, and the generation tells that they changed', async (t) => {
    const { state, keys } = harness();
    t.after(() => keys.close());
    state.serve = { keys: [one.jwk] };
    await keys.start();
    const generation = keys.generation;
    assert.ok((await keys.key(header('one'), token)).key);
    state.serve = { keys: [two.jwk] };
    state.now += 10_000;
    assert.ok((await keys.key(header('two'), token)).key);
    assert.equal(keys.generation, generation + 1);
    await assert.rejects(keys.key(header('one'), token), errors.JWKSNoMatchingKey);
  });

  it('are asked for once per cool-down, whatever number of unknown kids come', async (t) => {
    const { state, keys } = harness();
    t.after(() => keys.close());
    state.serve = { keys: [one.jwk] };
    await keys.start();
    state.now += 10_000;
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        assert.rejects(keys.key(header(`no-${index}`), token), errors.JOSEError),
      ),
    );
    for (let index = 0; index < 50; index += 1) await assert.rejects(keys.key(header(`n${index}`), token));
    assert.equal(state.loads, 2);
    state.now += 10_000;
    await assert.rejects(keys.key(header('no'), token));
    assert.equal(state.loads, 3);
  });

  it('are believed while the issuer cannot be reached, for a time', async (t) => {
    const { state, keys } = harness();
    t.after(() => keys.close());
    state.serve = { keys: [one.jwk] };
    await keys.start();
    state.failure = new Error('unreachable');
    state.now += 3_600_000;
    assert.ok((await keys.key(header('one'), token)).key);
    assert.ok(keys.usable);
    state.now += 1;
    assert.equal(keys.usable, false);
    await assert.rejects(keys.key(header('one'), token), KeysUnavailable);
    state.failure = undefined;
    await assert.rejects(keys.key(header('one'), token), KeysUnavailable, 'the cool-down holds for failures too');
    state.now += 10_000;
    assert.ok((await keys.key(header('one'), token)).key);
  });

  it('of a hanging issuer fail in time', async (t) => {
    const { state, keys } = harness({ timeout: 50 });
    t.after(() => keys.close());
    state.hang = true;
    await keys.start();
    await assert.rejects(keys.key(header('one'), token), KeysUnavailable);
    assert.equal(state.loads, 1);
  });

  it('load again by themselves, so that a withdrawn one is forgotten', async (t) => {
    const { state, keys } = harness({ refreshInterval: 20, cooldown: 5 });
    t.after(() => keys.close());
    state.serve = { keys: [one.jwk, two.jwk] };
    await keys.start();
    state.serve = { keys: [two.jwk] };
    const generation = keys.generation;
    while (keys.generation === generation) await new Promise((resolve) => setTimeout(resolve, 5));
    await assert.rejects(keys.key(header('one'), token), errors.JWKSNoMatchingKey);
    keys.close();
    const { loads } = state;
    await new Promise((resolve) => setTimeout(resolve, 80));
    assert.ok(state.loads <= loads + 1, 'it stops when closed');
  });

  it('are never symmetric, never published private ones, and a bad set never replaces a good one', async (t) => {
    const { state, keys } = harness();
    t.after(() => keys.close());
    state.serve = { keys: [one.jwk] };
    await keys.start();
    const bad: unknown[] = [
      { keys: [{ kty: 'oct', k: 'AAAA', kid: 'one' }] },
      { keys: [{ ...two.jwk, d: 'AAAA' }] },
      { keys: 'none' },
      { keys: [null, 7, 'x'] },
      { keys: Array.from({ length: 101 }, (_, index) => ({ ...one.jwk, kid: `k${index}` })) },
      {},
    ];
    for (const serve of bad) {
      state.serve = serve;
      state.now += 10_000;
      await assert.rejects(keys.key(header('two'), token), KeysUnavailable);
      assert.ok((await keys.key(header('one'), token)).key);
    }
  });

  it('that two of one kid match choose none', async (t) => {
    const { state, keys } = harness();
    t.after(() => keys.close());
    state.serve = { keys: [one.jwk, { ...two.jwk, kid: 'one' }] };
    await keys.start();
    await assert.rejects(keys.key(header('one'), token), errors.JWKSMultipleMatchingKeys);
  });
});
