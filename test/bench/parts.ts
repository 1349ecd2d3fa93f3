import { admission } from './admission.ts';
import { approvals } from './approvals.ts';
import { exec } from './exec.ts';
import { get } from './get.ts';
import { inbox } from './inbox.ts';
import { kubectl } from './kubectl.ts';
import { list } from './list.ts';
import { maskedAnswers } from './masked-answers.ts';
import { maskingQuality } from './masking-quality.ts';
import { micro } from './micro.ts';
import type { Part } from './part.ts';
import { recording } from './recording.ts';
import { recordingExec } from './recording-exec.ts';
import { recordingLines } from './recording-lines.ts';
import { soak } from './soak.ts';
import { start } from './start.ts';
import { watch } from './watch.ts';

/** In the order in which they run and stand on the page. */
export const PARTS: readonly Part[] = [
  get,
  list,
  maskedAnswers,
  maskingQuality,
  watch,
  kubectl,
  inbox,
  start,
  exec,
  approvals,
  admission,
  recording,
  recordingExec,
  recordingLines,
  soak,
  micro,
];
