import { escapeLine } from '../errors.ts';
import { describeFinding, type VerifyReport } from '../recording/finding.ts';

/** What a report says, for people; its first word for programs that read lines. @param sealed it was to be sealed */
export function describeReport(report: VerifyReport, sealed: boolean): string {
  const { recording, sound, state, segments, lines, bytes, findings, findingCount, unknownOutcomes, keyID } = report;
  const parts = report.chains === undefined ? '' : `${report.chains.length} chains, `;
  const lead = `${escapeLine(recording)}: ${parts}${segments} segments, ${lines} lines, ${bytes} bytes`;
  const signed = keyID === undefined ? '' : `, signed by ${keyID}`;
  const unknown = unknownOutcomes === 0 ? '' : `; the outcome of ${unknownOutcomes} requests is not known`;
  if (sound && state === 'Open') {
    const word = sealed ? 'UNSEALED' : report.ended === true ? 'ENDED   ' : 'OPEN    ';
    return `${word} ${lead}${signed}; ${describeOpen(report)}${unknown}\n`;
  }
  if (sound) return `SOUND    ${lead}${signed}${state === 'Incomplete' ? '; Incomplete' : ''}${unknown}\n`;
  const more = findingCount - findings.length;
  return [
    `ALTERED  ${lead}`,
    ...findings.map((finding) => `  ${escapeLine(describeFinding(finding))}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    '',
  ].join('\n');
}

function describeOpen({ ended, segments, keyID, unnamed = [] }: VerifyReport): string {
  if (segments === 0) return 'open: no segment of it is sealed yet';
  const names = unnamed.map((chain) => escapeLine(chain)).join(', ');
  if (ended === true) {
    const missing = keyID === undefined ? 'there is no manifest' : `no manifest names ${names}`;
    return `sound as far as it goes. It has ended, and ${missing}: it is about to be written, or was taken away`;
  }
  if (keyID === undefined) return 'sound as far as it goes, not sealed';
  return `sound as far as it goes. No manifest names ${names} yet: open, or put there`;
}
