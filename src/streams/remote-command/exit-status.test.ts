import assert from 'node:assert/strict';
import test from 'node:test';
import { readExitStatus } from './exit-status.ts';

const read = (value: unknown) => readExitStatus(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
const ended = (code: string) => ({
  status: 'Failure',
  reason: 'NonZeroExitCode',
  message: 'command terminated',
  details: {
    causes: [
      { reason: 'Other', message: '1' },
      { reason: 'ExitCode', message: code },
    ],
  },
});

test('a success, an exit code, and a failure that is none of the command’s', () => {
  assert.deepEqual(read({ status: 'Success' }), { success: true, exitCode: 0, reason: '', message: '' });
  assert.equal(read(ended('137'))?.exitCode, 137);
  const refused = read({ status: 'Failure', reason: 'InternalError', message: 'no such container' });
  assert.deepEqual(refused, {
    success: false,
    exitCode: undefined,
    reason: 'InternalError',
    message: 'no such container',
  });
});

test('what is no Status is none', () => {
  for (const value of ['', 'plain text of version 1', 'null', '[]', '{"status":"Maybe"}', '{"kind":"Status"}']) {
    assert.equal(read(value), undefined, value);
  }
});

test('an exit code that is no exit code is none', () => {
  for (const code of ['', '-1', '256', '1e2', '0x7', '999']) assert.equal(read(ended(code))?.exitCode, undefined, code);
  assert.equal(read({ status: 'Failure', reason: 'NonZeroExitCode', details: { causes: 'x' } })?.exitCode, undefined);
});
