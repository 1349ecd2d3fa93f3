import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SallyportError } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';
import { CallerLimits } from './limits.ts';

const limits = {
  requestsPerSecond: 10,
  burst: 3,
  parallelRequests: 3,
  parallelStreams: 1,
  bytesHeld: 100,
  callers: 2,
};

function caller(username: string): Caller {
  return {
    method: 'OIDC',
    issuer: 'https://issuer.example',
    username,
    uid: '',
    groups: [],
    serviceAccount: undefined,
    agent: undefined,
    onBehalfOf: undefined,
    session: undefined,
    expiresAt: Number.POSITIVE_INFINITY,
    authTime: undefined,
  };
}

function refused(action: () => unknown): SallyportError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof SallyportError);
    assert.equal(error.code, 'SP_TOO_MANY_REQUESTS');
    assert.ok(error.retryAfter! >= 1);
    return error;
  }
  assert.fail('was admitted');
}

test('a burst passes, then the rate holds, and time refills it', () => {
  let now = 0;
  const hits: string[] = [];
  const gate = new CallerLimits(
    limits,
    (limit) => hits.push(limit),
    () => now,
  );
  for (let i = 0; i < 3; i++) gate.admit(caller('a')).release();
  refused(() => gate.admit(caller('a')));
  gate.admit(caller('b')).release();
  now += 100;
  gate.admit(caller('a')).release();
  refused(() => gate.admit(caller('a')));
  assert.deepEqual(hits, ['rate', 'rate']);
});

test('parallel requests are counted until released, and a lease is released once', () => {
  let now = 0;
  const gate = new CallerLimits(
    { ...limits, burst: 100 },
    () => {},
    () => now,
  );
  const leases = [gate.admit(caller('a')), gate.admit(caller('a')), gate.admit(caller('a'))];
  refused(() => gate.admit(caller('a')));
  leases[0]!.release();
  leases[0]!.release();
  leases.push(gate.admit(caller('a')));
  refused(() => gate.admit(caller('a')));
  now += 1;
});

test('streams are counted apart from requests', () => {
  const gate = new CallerLimits({ ...limits, burst: 100, parallelRequests: 2 });
  const first = gate.admit(caller('a'));
  first.becomeStream();
  const second = gate.admit(caller('a'));
  refused(() => second.becomeStream());
  first.release();
  second.becomeStream();
  second.release();
});

test('bytes held are bounded and given back', () => {
  const gate = new CallerLimits({ ...limits, burst: 100 });
  const first = gate.admit(caller('a'));
  first.hold(60);
  const second = gate.admit(caller('a'));
  refused(() => second.hold(60));
  first.release();
  second.hold(100);
});

test('a flood of names forgets idle callers only', () => {
  const gate = new CallerLimits({ ...limits, burst: 1, parallelRequests: 5 });
  const busy = gate.admit(caller('busy'));
  for (let i = 0; i < 50; i++) gate.admit(caller(`idle-${i}`)).release();
  refused(() => gate.admit(caller('busy')));
  gate.admit(caller('other'));
  refused(() => gate.admit(caller('third')));
  busy.release();
});
