import type { CustomFunction } from '../cel/engine.ts';

/** What policies may call beyond Kubernetes' own libraries. */
export const FUNCTIONS: readonly CustomFunction[] = [];
