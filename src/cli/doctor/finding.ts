/** One thing that was looked at. */
export interface Finding {
  /** What was looked at: one word or two, always the same. */
  readonly about: string;
  readonly level: 'Good' | 'Warning' | 'Wrong';
  /** One line. */
  readonly message: string;
  /** What to do, where there is something to do. */
  readonly next?: string;
}

export const good = (about: string, message: string): Finding => ({ about, level: 'Good', message });

export const warning = (about: string, message: string, next: string): Finding => ({
  about,
  level: 'Warning',
  message,
  next,
});

export const wrong = (about: string, message: string, next: string): Finding => ({
  about,
  level: 'Wrong',
  message,
  next,
});
