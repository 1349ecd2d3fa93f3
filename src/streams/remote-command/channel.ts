/** The channels of a remote command (exec, attach), in the numbers that WebSocket messages begin with. */
export const CHANNELS = ['stdin', 'stdout', 'stderr', 'error', 'resize'] as const;

export type Channel = (typeof CHANNELS)[number];

export function channelNumber(channel: Channel): number {
  return CHANNELS.indexOf(channel);
}

/** v5 only: `255, channel` says that the sender will write no more on that channel (KEP-4006). */
export const CLOSE_SIGNAL = 255;

/** What a session was asked with; what is not in it is neither opened, nor read, nor written. */
export interface SessionShape {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/**
 * The channels of a session in the order in which client-go opens its SPDY streams. A TTY joins stderr into stdout, and
 * only a TTY has a size.
 */
export function channelsOf(shape: SessionShape): readonly Channel[] {
  const channels: Channel[] = ['error'];
  if (shape.stdin) channels.push('stdin');
  if (shape.stdout) channels.push('stdout');
  if (shape.stderr && !shape.tty) channels.push('stderr');
  if (shape.tty) channels.push('resize');
  return channels;
}

/** True for what the client writes; the rest is written by the command's side. */
export function fromClient(channel: Channel): boolean {
  return channel === 'stdin' || channel === 'resize';
}
