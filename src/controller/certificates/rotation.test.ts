import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { certificatesIn } from './held-certificate.ts';
import { type Held, rotate, type SecretData, type Step } from './rotation.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const TERMS = {
  hosts: ['gate', 'gate.shop.svc', '10.0.0.7', 'fd00::7'],
  lifetime: 90 * DAY,
  authorityLifetime: 3_650 * DAY,
  publishedFor: 60_000,
};
const START = Date.UTC(2026, 0, 1);

const after = (step: Step): Held => ({ authority: step.authority, serving: step.serving });
const bundle = (serving: SecretData) => certificatesIn(serving['ca.crt']);
const leaf = (serving: SecretData) => new X509Certificate(serving['tls.crt']!);
const vouches = (serving: SecretData, authorities: readonly X509Certificate[]): boolean =>
  authorities.some((one) => leaf(serving).checkIssued(one) && leaf(serving).verify(one.publicKey));

describe('the own authority', () => {
  it('is made at the first step, with a certificate for every name', async () => {
    const step = await rotate({ authority: undefined, serving: undefined }, TERMS, START);
    const certificate = leaf(step.serving);
    for (const name of ['gate', 'gate.shop.svc']) assert.ok(certificate.checkHost(name));
    for (const address of ['10.0.0.7', 'fd00::7']) assert.ok(certificate.checkIP(address));
    assert.equal(certificate.checkHost('other'), undefined);
    assert.ok(vouches(step.serving, bundle(step.serving)));
    assert.equal(certificate.ca, false);
    assert.equal(step.serving['tls.key']!.includes(step.authority['tls.key']!), false, 'two keys');
    const again = await rotate(after(step), TERMS, START + HOUR);
    assert.deepEqual({ ...again, next: 0 }, { ...step, done: [], next: 0 });
  });

  it('renews what it signed when a third of its life is left, or when the names change', async () => {
    const first = await rotate({ authority: undefined, serving: undefined }, TERMS, START);
    assert.deepEqual((await rotate(after(first), TERMS, START + 59 * DAY)).done, []);
    const renewed = await rotate(after(first), TERMS, START + 61 * DAY);
    assert.deepEqual(renewed.done, ['a new serving certificate']);
    assert.deepEqual(renewed.authority, first.authority);
    const named = await rotate(after(first), { ...TERMS, hosts: [...TERMS.hosts, 'more.example'] }, START + HOUR);
    assert.ok(leaf(named.serving).checkHost('more.example'));
  });

  it('over twenty years and two successors, whoever knows the authorities of a month ago knows what serves', async () => {
    let held: Held = { authority: undefined, serving: undefined };
    const seen: { readonly at: number; readonly authorities: readonly X509Certificate[] }[] = [];
    const signers = new Set<string>();
    for (let now = START; now < START + 7_300 * DAY; now += 15 * DAY) {
      const step = await rotate(held, TERMS, now);
      held = after(step);
      const serving = step.serving;
      seen.push({ at: now, authorities: bundle(serving) });
      signers.add(certificatesIn(step.authority['tls.crt'])[0]!.fingerprint256);
      assert.ok(leaf(serving).validToDate.getTime() > now + 15 * DAY, 'what serves never ends');
      const earlier = seen.findLast(({ at }) => at <= now - 30 * DAY) ?? seen[0]!;
      assert.ok(vouches(serving, earlier.authorities), `${new Date(now).toISOString()}: unknown a month ago`);
      for (const one of bundle(serving))
        assert.ok(one.validToDate.getTime() > now, 'nothing that has ended is trusted');
    }
    assert.ok(signers.size >= 3, `${signers.size}`);
  });

  it('whose Secret is deleted is followed by one that is published first; the old one stays known', async () => {
    const first = await rotate({ authority: undefined, serving: undefined }, TERMS, START);
    const published = await rotate({ authority: undefined, serving: first.serving }, TERMS, START + HOUR);
    assert.equal(published.serving['tls.crt'], first.serving['tls.crt'], 'the old certificate goes on serving');
    assert.equal(bundle(published.serving).length, 2);
    assert.equal(published.next, TERMS.publishedFor);
    const waiting = await rotate(after(published), TERMS, START + HOUR + 30_000);
    assert.deepEqual([waiting.done, waiting.next], [[], 30_000]);
    const signing = await rotate(after(waiting), TERMS, START + HOUR + 60_000);
    assert.deepEqual(signing.done, ['a new authority signs', 'a new serving certificate']);
    assert.ok(vouches(signing.serving, bundle(published.serving)));
    assert.equal(bundle(signing.serving).length, 2);
    assert.equal(vouches(signing.serving, bundle(first.serving)), false);
  });

  it('with both Secrets deleted begins anew, and with the certificate alone signs another', async () => {
    const first = await rotate({ authority: undefined, serving: undefined }, TERMS, START);
    const again = await rotate({ authority: first.authority, serving: undefined }, TERMS, START + HOUR);
    assert.ok(vouches(again.serving, bundle(first.serving)));
    const anew = await rotate({ authority: undefined, serving: undefined }, TERMS, START + HOUR);
    assert.equal(vouches(anew.serving, bundle(first.serving)), false);
  });

  it('makes good what somebody has broken: halves that do not fit, words that are no certificate', async () => {
    const first = await rotate({ authority: undefined, serving: undefined }, TERMS, START);
    const other = await rotate({ authority: undefined, serving: undefined }, TERMS, START);
    const torn = { ...first.serving, 'tls.key': other.serving['tls.key']! };
    const mended = await rotate({ authority: first.authority, serving: torn }, TERMS, START + HOUR);
    assert.ok(vouches(mended.serving, bundle(first.serving)));
    const nonsense = { ...first.serving, 'tls.crt': 'nonsense', 'ca.crt': 'nonsense' };
    const again = await rotate({ authority: first.authority, serving: nonsense }, TERMS, START + HOUR);
    assert.ok(vouches(again.serving, bundle(first.serving)));
    const lost = { ...first.authority, 'tls.key': 'nonsense' };
    const followed = await rotate({ authority: lost, serving: first.serving }, TERMS, START + HOUR);
    assert.equal(followed.serving['tls.crt'], first.serving['tls.crt']);
    assert.deepEqual(followed.done, ['a new authority is published']);
  });
});
