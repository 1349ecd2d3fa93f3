/** Something that is not as it was written, and where. */
export interface Finding {
  /** File below the recording's folder. */
  readonly file: string;
  /** Line in the file, from 1, where it can be told. */
  readonly line?: number | undefined;
  /** Byte offset: of the line among the file's unpacked bytes, or, where it cannot be unpacked, of the frame in the file. */
  readonly offset?: number | undefined;
  readonly offsetIn?: 'unpacked' | 'file' | undefined;
  readonly what: string;
}

export interface VerifyReport {
  readonly recording: string;
  /** `Open`: there is no manifest; what is there holds together, and that it is all cannot be told. */
  readonly state: 'Complete' | 'Incomplete' | 'Open';
  /** With `Open`: all that is there was ended in order. Its manifest is about to be written, or was taken away. */
  readonly ended?: boolean | undefined;
  /** Nothing is wrong; at most, with `Open`, unfinished. */
  readonly sound: boolean;
  readonly findings: readonly Finding[];
  /** How many findings there were in all; a forger is not to fill anyone's memory. */
  readonly findingCount: number;
  readonly segments: number;
  readonly lines: number;
  /** Of unpacked lines. */
  readonly bytes: number;
  /** Hash of the last line. */
  readonly hash: string;
  /** The key whose signature of the manifest holds. */
  readonly keyID: string | undefined;
  /** Requests that were let through and whose end is not recorded. */
  readonly unknownOutcomes: number;
  readonly startTime: string | undefined;
  readonly endTime: string | undefined;
  /** Of the manifest's file, and what it says of the recording that its replica sealed before. */
  readonly manifestSHA256: string | undefined;
  readonly predecessor: { readonly name: string; readonly sha256: string } | undefined;
  /** Where it has several: each chain for itself. What they found stands among `findings` too, with the chain before the file. */
  readonly chains?: readonly VerifyReport[];
  /** Of manifests that a further one followed: what each names as its predecessor counts too. */
  readonly earlier?: readonly Pick<VerifyReport, 'manifestSHA256' | 'predecessor'>[];
  /** Chains that no manifest names: open, ended a moment ago, or put there. */
  readonly unnamed?: readonly string[];
}

const MOST_FINDINGS = 100;

export class Findings {
  readonly list: Finding[] = [];
  count = 0;

  add(finding: Finding): void {
    this.count += 1;
    if (this.list.length < MOST_FINDINGS) this.list.push(finding);
  }
}

/** One line for people: `000002.jsonl.zst, line 17 (byte 8123 of its lines): …`. */
export function describeFinding({ file, line, offset, offsetIn, what }: Finding): string {
  const where = [
    file,
    ...(line === undefined ? [] : [`line ${line}`]),
    ...(offset === undefined ? [] : [`byte ${offset}${offsetIn === 'unpacked' ? ' of its lines' : ' of the file'}`]),
  ];
  return `${where.join(', ')}: ${what}`;
}
