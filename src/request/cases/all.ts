import type { RequestCase } from './case.ts';
import { CONNECTS } from './connect.ts';
import { GRAMMAR } from './grammar.ts';
import { HOSTILE, METHODS } from './hostile.ts';
import { QUERY } from './query.ts';

export const REQUEST_CASES: readonly RequestCase[] = [...GRAMMAR, ...QUERY, ...CONNECTS, ...HOSTILE, ...METHODS];
