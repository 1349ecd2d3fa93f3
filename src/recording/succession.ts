import type { VerifyReport } from './finding.ts';

/** What a replica says that it sealed last. */
export interface LastSealed {
  readonly replica: string;
  readonly lastSealed?: VerifyReport['predecessor'];
}

/** A recording, or a chain of one, that is not as another one names it. */
export interface Missed {
  readonly name: string;
  /** One line for people. */
  readonly what: string;
}

/**
 * What a whole store says of itself: each manifest names the one that its replica sealed before, so that a recording that was taken
 * away, or replaced by an older form of itself, is missed. The last one of a replica no manifest names; its announcement does, which
 * nobody signs.
 */
export function verifySuccession(reports: readonly VerifyReport[], announced: readonly LastSealed[] = []): Missed[] {
  const all = reports.flatMap((report) => [report, ...(report.chains ?? [])]);
  const known = new Map(all.map((each) => [each.recording, [each, ...(each.earlier ?? [])]]));
  const missed: Missed[] = [];
  const look = (named: VerifyReport['predecessor'], by: string): void => {
    if (named === undefined) return;
    const { name } = named;
    const manifests = known.get(name)?.map(({ manifestSHA256 }) => manifestSHA256);
    if (manifests?.includes(named.sha256) === true) return;
    const what =
      manifests === undefined
        ? `is not there, which ${by} names: it was removed, or its retention has ended`
        : manifests.every((sha256) => sha256 === undefined)
          ? `has no manifest that holds; ${by} names one`
          : `has another manifest than the one that ${by} names`;
    missed.push({ name, what: `${name} ${what}` });
  };
  for (const { recording, predecessor, earlier = [] } of all) {
    for (const named of [predecessor, ...earlier.map((each) => each.predecessor)]) look(named, recording);
  }
  for (const { replica, lastSealed } of announced) look(lastSealed, `the announcement of replica ${replica}`);
  return missed;
}
