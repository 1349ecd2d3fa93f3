import { createHash, type KeyObject } from 'node:crypto';
import { EnvelopeError } from './envelope.ts';
import { Findings, type VerifyReport } from './finding.ts';
import { type JointChain, type JointManifest, openJointManifest } from './joint-manifest.ts';
import { chainName, manifestFile, manifestNumber } from './segment.ts';
import { type RecordingFiles, verifyRecording } from './verify.ts';

const MAX_MANIFEST = 64 << 20;

interface OpenedManifest {
  readonly manifest: JointManifest;
  readonly keyID: string;
  readonly sha256: string;
}

/**
 * Checks a recording, whether one replica wrote it or several: then each chain as a recording of its own, and that the manifests name
 * them all, as they are. Files of chains are `CHAIN/FILE`.
 * @param keyOf the public keys that are trusted, by id
 */
export async function verifyStored(
  files: RecordingFiles,
  keyOf: (id: string) => KeyObject | undefined,
): Promise<VerifyReport> {
  const names = await files.list();
  const open = (await files.listOpen?.()) ?? [];
  const inChains = [...names, ...open].some((name) => name.includes('/'));
  const further = names.some((name) => (manifestNumber(name) ?? 0) > 1);
  if (!inChains && !further && !(await isJoint(files, names))) return await verifyRecording(files, keyOf);
  return await new JointCheck({ files, names, open, keyOf }).run();
}

/** Its chains may all have been taken away: what the manifest says of itself is enough to look for them. */
async function isJoint(files: RecordingFiles, names: readonly string[]): Promise<boolean> {
  if (!names.includes(manifestFile(1)) || names.length > 1) return false;
  const file = await bytesOf(files, manifestFile(1));
  return file?.subarray(0, 200).includes('recording-manifest.v2+json') === true;
}

interface JointSource {
  readonly files: RecordingFiles;
  readonly names: readonly string[];
  /** Segments that are in parts still. */
  readonly open: readonly string[];
  readonly keyOf: (id: string) => KeyObject | undefined;
}

class JointCheck {
  readonly #files: RecordingFiles;
  readonly #names: readonly string[];
  readonly #open: readonly string[];
  readonly #keyOf: (id: string) => KeyObject | undefined;
  readonly #findings = new Findings();

  constructor({ files, names, open, keyOf }: JointSource) {
    this.#files = files;
    this.#names = names;
    this.#open = open;
    this.#keyOf = keyOf;
  }

  async run(): Promise<VerifyReport> {
    const { name: recording } = this.#files;
    const findings = this.#findings;
    const manifests = await this.#manifests();
    const last = manifests.at(-1);
    const folders = this.#folders();
    const listed = last?.manifest.chains ?? [];
    const chains: VerifyReport[] = [];
    for (const chain of listed) {
      const found = folders.get(chain.name);
      folders.delete(chain.name);
      if (found === undefined) {
        findings.add({ file: `${chain.name}/`, what: `is missing: the chain that ${chain.replica} wrote` });
      } else chains.push(await this.#chain(chain.name, found, chain));
    }
    const unnamed = [...folders.keys()];
    let ended = true;
    for (const [chain, found] of folders) {
      const report = await this.#chain(chain, found, undefined);
      ended &&= report.state !== 'Open' || report.ended === true;
      chains.push(report);
    }
    const sum = (of: (report: VerifyReport) => number): number => chains.reduce((total, each) => total + of(each), 0);
    const starts = chains.map(({ startTime }) => startTime).filter((time) => time !== undefined);
    // A manifest that cannot be read is a finding; a recording with a chain that none names is not sealed as a whole.
    const sealed = this.#names.some((name) => manifestNumber(name) !== undefined) && unnamed.length === 0;
    return {
      recording,
      state: sealed ? (last?.manifest.state ?? 'Complete') : 'Open',
      ended: sealed ? undefined : ended,
      sound: findings.count === 0,
      findings: findings.list,
      findingCount: findings.count,
      segments: sum(({ segments }) => segments),
      lines: sum(({ lines }) => lines),
      bytes: sum(({ bytes }) => bytes),
      hash: '',
      keyID: last?.keyID,
      unknownOutcomes: sum(({ unknownOutcomes }) => unknownOutcomes),
      startTime: last?.manifest.recording.startTime ?? starts.sort((a, b) => (a < b ? -1 : 1))[0],
      endTime: last?.manifest.endTime,
      manifestSHA256: last?.sha256,
      predecessor: last?.manifest.predecessor,
      chains,
      earlier: manifests
        .slice(0, -1)
        .map(({ sha256, manifest }) => ({ manifestSHA256: sha256, predecessor: manifest.predecessor })),
      unnamed,
    };
  }

  /** Each names the one before, and all chains that that one names, as they were. */
  async #manifests(): Promise<OpenedManifest[]> {
    const findings = this.#findings;
    const numbers = this.#names.map(manifestNumber).filter((number) => number !== undefined);
    const opened: OpenedManifest[] = [];
    let before: OpenedManifest | undefined;
    for (let number = 1; number <= Math.max(0, ...numbers); number += 1) {
      const file = manifestFile(number);
      if (!numbers.includes(number)) {
        findings.add({ file, what: 'is missing' });
        before = undefined;
        continue;
      }
      const read = await this.#manifest(file);
      if (read === undefined) {
        before = undefined;
        continue;
      }
      const { manifest } = read;
      if (manifest.recording.name !== this.#files.name) {
        findings.add({ file, what: `is the manifest of another recording, ${quote(manifest.recording.name)}` });
      }
      if (manifest.number !== number) findings.add({ file, what: `says that it is manifest ${manifest.number}` });
      if (number > 1 && before !== undefined && manifest.previous !== before.sha256) {
        findings.add({ file, what: `names another manifest before it than ${manifestFile(number - 1)}` });
      }
      for (const chain of before?.manifest.chains ?? []) {
        const same = manifest.chains.some(
          ({ name, manifestSHA256 }) => name === chain.name && manifestSHA256 === chain.manifestSHA256,
        );
        if (!same)
          findings.add({ file, what: `does not name the chain ${quote(chain.name)} as the one before it does` });
      }
      opened.push(read);
      before = read;
    }
    return opened;
  }

  async #manifest(file: string): Promise<OpenedManifest | undefined> {
    const bytes = await bytesOf(this.#files, file);
    if (bytes === undefined) {
      this.#findings.add({ file, what: `is larger than ${MAX_MANIFEST} bytes` });
      return undefined;
    }
    try {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { ...openJointManifest(bytes, this.#keyOf), sha256 };
    } catch (error) {
      const what =
        error instanceof EnvelopeError ? error.message : `is not as it should be: ${(error as Error).message}`;
      this.#findings.add({ file, what });
      return undefined;
    }
  }

  /** Files of each chain's folder. */
  #folders(): Map<string, string[]> {
    const folders = new Map<string, string[]>();
    for (const name of this.#names) {
      if (manifestNumber(name) !== undefined) continue;
      const [chain = '', file, ...more] = name.split('/');
      if (file === undefined || more.length > 0 || chainName(`${this.#files.name}.${chain}`) === undefined) {
        this.#findings.add({ file: name, what: 'does not belong to a recording of several chains' });
        continue;
      }
      folders.set(chain, [...(folders.get(chain) ?? []), file]);
    }
    // Of a chain that has just begun there is nothing else.
    for (const name of this.#open) {
      const [chain = '', file] = name.split('/');
      if (file !== undefined && !folders.has(chain)) folders.set(chain, []);
    }
    return folders;
  }

  async #chain(name: string, files: readonly string[], listed: JointChain | undefined): Promise<VerifyReport> {
    const source: RecordingFiles = {
      name: `${this.#files.name}.${name}`,
      list: async () => files,
      read: (file) => this.#files.read(`${name}/${file}`),
    };
    const report = await verifyRecording(source, this.#keyOf);
    for (const finding of report.findings) this.#findings.add({ ...finding, file: `${name}/${finding.file}` });
    if (listed === undefined) return report;
    const file = `${name}/${manifestFile(1)}`;
    if (!files.includes(manifestFile(1))) {
      this.#findings.add({ file, what: `is missing: the chain that ${listed.replica} wrote was sealed` });
    } else if (report.manifestSHA256 !== undefined && report.manifestSHA256 !== listed.manifestSHA256) {
      const what = `is not the manifest that the recording names for ${listed.replica}: lines were added or taken away, and it was sealed again`;
      this.#findings.add({ file, what });
    } else if (report.sound && (report.lines !== listed.lines || report.hash !== listed.hash)) {
      const what = `ends with line ${report.lines} and hash ${report.hash}; the recording says ${listed.lines} and ${listed.hash}`;
      this.#findings.add({ file, what });
    }
    return report;
  }
}

async function bytesOf(files: RecordingFiles, file: string): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of files.read(file)) {
    size += chunk.length;
    if (size > MAX_MANIFEST) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
