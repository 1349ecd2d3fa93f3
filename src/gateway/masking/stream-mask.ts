import { SallyportError } from '../../errors.ts';
import { type MaskPlan, replacer } from '../../masking/mask-plan.ts';
import { TarMask } from '../../masking/tar-mask.ts';
import { TextMask } from '../../masking/text-mask.ts';
import type { ExecOptions, Operation } from '../../request/operation.ts';
import type { Channel } from '../../streams/remote-command/channel.ts';
import type { ChannelTap, LaterWays } from '../upgrade/context.ts';
import { archiving } from './archive-command.ts';
import { InputSearch } from './input-search.ts';

/**
 * Milliseconds for which an unfinished line waits for its end. In front of a terminal sits somebody who types; elsewhere a
 * secret that comes in two pieces is worth waiting for.
 */
const TERMINAL_WAIT = 40;
export const LINE_WAIT = 1_000;

/**
 * Whether what a stream carries can be masked as far as rules demand.
 * @throws SallyportError SP_MASKING_STREAM_REFUSED
 */
export function admitStream(plan: MaskPlan, operation: Operation, upgraded: boolean): void {
  const { exec, portForward, subresource } = operation;
  const { demandedBy, refusesCopies } = plan;
  if (exec !== undefined && refusesCopies !== undefined && archiving(exec.command) !== undefined) {
    throw refused(refusesCopies, 'files must not be copied out of containers; read single files with exec instead');
  }
  if (demandedBy === undefined || !upgraded) return;
  if (portForward !== undefined) throw refused(demandedBy, 'what passes through a port-forward cannot be masked');
  if (subresource === 'proxy') throw refused(demandedBy, 'an upgraded proxy connection cannot be masked');
}

function refused(rule: string, why: string): SallyportError {
  return new SallyportError('SP_MASKING_STREAM_REFUSED', `MaskingRule ${rule}: ${why}`);
}

/**
 * Masks what a command writes. What a client writes to it passes as it is, unless it is a placeholder; so does the Status with its
 * exit code.
 */
export function streamMask(plan: MaskPlan, operation: Operation): (channel: Channel) => ChannelTap | undefined {
  const exec = operation.exec!;
  return (channel) => {
    if (channel === 'stdin') return new InputSearch();
    if (channel !== 'stdout' && channel !== 'stderr') return undefined;
    const { resource, namespace, name } = operation;
    const replace = replacer(plan, `${resource}/${namespace}/${name}`, channel);
    const archive = channel === 'stdout' && !exec.tty ? archiving(exec.command) : undefined;
    const engine =
      archive === 'tar'
        ? new TarMask(plan.recognizer, replace, plan.demandedBy !== undefined)
        : new TextMask(plan.recognizer, replace);
    return new MaskTap(engine, waitOf(exec));
  };
}

const waitOf = ({ tty, stdin }: ExecOptions): number => (tty || stdin ? TERMINAL_WAIT : LINE_WAIT);

interface Engine {
  readonly holding: boolean;
  write(chunk: Buffer): Buffer;
  flush(): Buffer;
  end(): Buffer;
}

/** An engine with a clock: what is held back passes when nothing follows it in time. */
export class MaskTap implements ChannelTap {
  readonly #engine: Engine;
  readonly #wait: number;
  #ways: LaterWays | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param wait milliseconds */
  constructor(engine: Engine, wait: number) {
    this.#engine = engine;
    this.#wait = wait;
  }

  later(ways: LaterWays): void {
    this.#ways = ways;
  }

  write(chunk: Buffer): Buffer | undefined {
    const out = this.#engine.write(chunk);
    // What is held now came just now, unless nothing has passed: then it is as old as what was held before.
    if (out.length > 0 || !this.#engine.holding) this.cut();
    if (this.#engine.holding) this.#timer ??= setTimeout(this.#flush, this.#wait);
    return out.length === 0 ? undefined : out;
  }

  end(): Buffer {
    this.cut();
    return this.#engine.end();
  }

  cut(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  readonly #flush = (): void => {
    this.#timer = undefined;
    try {
      const out = this.#engine.flush();
      if (out.length > 0) this.#ways?.pass(out);
    } catch (error) {
      this.#ways?.fail(error);
    }
  };
}
