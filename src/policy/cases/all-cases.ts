import { BEDROCK_CASES } from './bedrock-cases.ts';
import type { DecisionCase } from './case.ts';
import { COLLECTION_CASES } from './collection-cases.ts';
import { CONDITION_CASES } from './condition-cases.ts';
import { PRECEDENCE_CASES } from './precedence-cases.ts';
import { VERB_CASES } from './verb-cases.ts';
import { WILDCARD_CASES } from './wildcard-cases.ts';

/** How a decision is made, as a table: run by the policy room itself, by the gateway and by the webhook. */
export const ALL_CASES: readonly DecisionCase[] = [
  ...BEDROCK_CASES,
  ...PRECEDENCE_CASES,
  ...WILDCARD_CASES,
  ...COLLECTION_CASES,
  ...VERB_CASES,
  ...CONDITION_CASES,
];
