import { issue, newAuthority } from './certificate-authority.ts';
import { certificatesIn, type HeldPair, heldPair, isFor, isSignedBy, remaining } from './held-certificate.ts';

/** What stands in the two Secrets; a key that is absent is undefined. */
export type SecretData = Readonly<Record<string, string>>;

export interface RotationTerms {
  readonly hosts: readonly string[];
  /** Milliseconds, each. */
  readonly lifetime: number;
  readonly authorityLifetime: number;
  readonly publishedFor: number;
}

export interface Held {
  readonly authority: SecretData | undefined;
  readonly serving: SecretData | undefined;
}

export interface Step {
  readonly authority: SecretData;
  readonly serving: SecretData;
  /** Milliseconds until there is something to do again, unless somebody changes something. */
  readonly next: number;
  /** What was done, for the log; empty where nothing was. */
  readonly done: readonly string[];
}

/** In the authority's Secret: who signs, who will, since when that one is published, and who signed before. */
const SIGNER = { cert: 'tls.crt', key: 'tls.key' } as const;
const COMING = { cert: 'next.crt', key: 'next.key', since: 'next.published' } as const;
const RETIRED = 'retired.crt';

/**
 * One step of the rotation. An authority is published for a while before it signs, and stays published after it has been
 * replaced until it ends, so that at no moment anything serves that an API server or a client does not know:
 * new authority → its certificate among those published → signs → replaced, still published → ends.
 *
 * An authority's Secret that somebody deletes is made anew in the same way, while the old certificate goes on serving.
 */
export async function rotate(held: Held, terms: RotationTerms, now: number): Promise<Step> {
  const done: string[] = [];
  const stored = held.authority ?? {};
  const alive = (pair: HeldPair | undefined): HeldPair | undefined =>
    pair !== undefined && remaining(pair, now) > 0 ? pair : undefined;
  let signer = alive(heldPair(stored[SIGNER.cert], stored[SIGNER.key]));
  let coming = alive(heldPair(stored[COMING.cert], stored[COMING.key]));
  let since = Number(stored[COMING.since] ?? Number.NaN);
  let leaf = alive(heldPair(held.serving?.['tls.crt'], held.serving?.['tls.key']));

  const fresh = async (): Promise<HeldPair> => {
    const pair = await newAuthority({ now, lifetime: terms.authorityLifetime });
    return heldPair(pair.cert, pair.key)!;
  };
  const ages = signer === undefined || remaining(signer, now) < terms.authorityLifetime / 3;
  if (ages && coming === undefined) {
    coming = await fresh();
    since = now;
    done.push('a new authority is published');
  }
  // What it signs may not outlive it. With nothing that serves there is nobody to wait for.
  const ends = signer === undefined ? leaf === undefined : remaining(signer, now) < terms.lifetime;
  const published = now - since >= terms.publishedFor;
  if (coming !== undefined && (ends || (signer === undefined && published)) && (published || leaf === undefined)) {
    signer = coming;
    coming = undefined;
    done.push('a new authority signs');
  }
  const known = [signer, coming].flatMap((one) => (one === undefined ? [] : [one.certificate.fingerprint256]));
  const retired = retiredOf(held, known, now);
  const expires = leaf === undefined ? 0 : remaining(leaf, now);
  const isDue = leaf === undefined || expires < terms.lifetime / 3 || !isFor(leaf, terms.hosts);
  if (signer !== undefined && (isDue || !isSignedBy(leaf!, signer))) {
    const pair = await issue(signer.pair, terms.hosts, { now, lifetime: terms.lifetime });
    leaf = heldPair(pair.cert, pair.key)!;
    done.push('a new serving certificate');
  }
  const bundle = [signer, coming].flatMap((one) => (one === undefined ? [] : [one.pair.cert.trim()]));
  return {
    authority: {
      ...(signer === undefined ? {} : { [SIGNER.cert]: signer.pair.cert, [SIGNER.key]: signer.pair.key }),
      ...(coming === undefined
        ? {}
        : { [COMING.cert]: coming.pair.cert, [COMING.key]: coming.pair.key, [COMING.since]: String(since) }),
      ...(retired.length === 0 ? {} : { [RETIRED]: `${retired.join('\n')}\n` }),
    },
    serving: {
      'tls.crt': leaf!.pair.cert,
      'tls.key': leaf!.pair.key,
      'ca.crt': `${[...bundle, ...retired].join('\n')}\n`,
    },
    next: coming !== undefined && !published ? Math.max(0, since + terms.publishedFor - now) : Number.POSITIVE_INFINITY,
    done,
  };
}

/** Whoever signed before and has not ended, from either Secret: one that was deleted is remembered by the other. */
function retiredOf({ authority, serving }: Held, known: readonly string[], now: number): readonly string[] {
  const found = new Map<string, string>();
  for (const pem of [authority?.[RETIRED], authority?.[SIGNER.cert], serving?.['ca.crt']]) {
    for (const certificate of certificatesIn(pem)) {
      if (known.includes(certificate.fingerprint256) || certificate.validToDate.getTime() <= now) continue;
      found.set(certificate.fingerprint256, certificate.toString().trim());
    }
  }
  // Somebody who deletes the authority again and again gets no Secret without an end.
  return [...found.values()].slice(0, MOST_RETIRED);
}

const MOST_RETIRED = 8;
