import type { Manifest } from '../manifest.ts';
import { Turns } from './turns.ts';

/** One manifest of a replica after another: each names the one before. */
export class SealOrder extends Turns {
  /** The manifest that was sealed last. */
  last: Manifest['predecessor'];
}
