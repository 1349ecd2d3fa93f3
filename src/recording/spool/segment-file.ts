import { writeSync } from 'node:fs';
import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from './durable-folder.ts';

/** A file of lines, and how many of its bytes are whole lines that are kept. */
export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
}

/**
 * The file that a recording's lines are being written to, one at a time. What a write that failed left behind the last good
 * line is cut off before the next one.
 */
export class SegmentFile {
  #handle: FileHandle | undefined;
  #torn = false;

  /** Whether `writeNow` may be called: the file is open, and nothing stands behind its last good line. */
  get ready(): boolean {
    return this.#handle !== undefined && !this.#torn;
  }

  /** Writes in this thread, behind what is kept. @throws the disk's error */
  writeNow({ bytes: position }: WrittenFile, lines: Buffer): void {
    try {
      for (let written = 0; written < lines.length; ) {
        written += writeSync(this.#handle!.fd, lines, written, lines.length - written, position + written);
      }
    } catch (error) {
      this.#torn = true;
      throw error;
    }
  }

  /**
   * Writes in the thread pool, behind what is kept. @param flush whether it is on disk before this resolves
   * @throws the disk's error
   */
  async write({ path, bytes: position }: WrittenFile, lines: Buffer, flush: boolean): Promise<void> {
    try {
      this.#handle ??= await open(path, 'r+', 0o600);
      if (this.#torn) {
        await this.#handle.truncate(position);
        this.#torn = false;
      }
      await writeAll(this.#handle, lines, position);
      if (flush) await this.#handle.datasync();
    } catch (error) {
      this.#torn = true;
      throw error;
    }
  }

  /** Makes the file, and its folder where it is missing, with its first lines. @throws the disk's error; then there is none */
  async create(path: string, lines: Buffer, flush: boolean): Promise<void> {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      this.#handle = await open(path, 'w', 0o600);
      this.#torn = false;
      await writeAll(this.#handle, lines, 0);
      if (flush) {
        await this.#handle.datasync();
        // A new file is on disk only when its folder is; a new folder, when the one above is.
        const folder = dirname(path);
        for (const each of [folder, dirname(folder)]) await syncFolder(each);
      }
    } catch (error) {
      await this.close().catch(() => {});
      await unlink(path).catch(() => {});
      throw error;
    }
  }

  /** Lets go of the file until it is written to again. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    // A full disk may take a part, and say so at the next write only.
    written += bytesWritten;
  }
}
