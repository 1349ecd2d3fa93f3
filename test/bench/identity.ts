/**
 * What it costs to know who calls: `node test/bench/identity.ts`. CPU time per request for a token that was
 * verified before, at first sight, and for its name upstream; memory after a flood of bad ones.
 */
import { randomBytes } from 'node:crypto';
import { identityMethods } from '../../src/config/identity.ts';
import { createAuthenticator } from '../../src/identity/authenticator.ts';
import { upstreamName, Via } from '../../src/identity/upstream-name.ts';
import { LoopbackIssuer, makeKey } from '../identity/issuer.ts';

const issuer = await new LoopbackIssuer().listen();
const other = await new LoopbackIssuer().listen();
issuer.keys.push(await makeKey('rsa', 'RS256'));
other.keys.push(await makeKey('ec', 'ES256'));
const oidc = [issuer, other].map(({ url }, index) => ({
  issuer: url,
  audiences: ['sallyport'],
  insecureLoopbackHTTP: true,
  claimMappings: {
    username: { claim: 'sub', prefix: `i${index}:` },
    groups: { claim: 'groups', prefix: `i${index}:` },
  },
}));
const authenticator = createAuthenticator(identityMethods.parse({ oidc, tokenReview: {} }), {
  reviewToken: async () => ({ authenticated: false }),
});
while (!authenticator.ready().issuers.every(({ usable }) => usable)) await new Promise((r) => setTimeout(r, 5));

const groups = Array.from({ length: 10 }, (_, index) => `group-${index}`);
const head = (token: string) => ({
  rawHeaders: [
    ...['Host', 'gateway.example', 'User-Agent', 'kubectl/v1.36.3 (linux/amd64) kubernetes/abcdef', 'Accept', '*/*'],
    ...['Authorization', `Bearer ${token}`, 'Kubectl-Command', 'kubectl get', 'Accept-Encoding', 'gzip'],
  ],
  target: '/api/v1/namespaces/shop/pods?limit=500',
});

/** CPU time, all threads: on a busy machine the clock on the wall says nothing. */
function nanoseconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) * 1_000;
}

async function measure(what: string, rounds: number, run: (index: number) => unknown): Promise<void> {
  for (let index = 0; index < Math.min(rounds, 20_000); index += 1) await run(index % rounds);
  const started = process.cpuUsage();
  for (let index = 0; index < rounds; index += 1) await run(index);
  const each = nanoseconds(started) / rounds;
  process.stdout.write(
    `${what.padEnd(58)} ${each > 20_000 ? `${(each / 1_000).toFixed(1)} µs` : `${each.toFixed(0)} ns`}\n`,
  );
}

for (const [name, from] of [
  ['RS256', issuer],
  ['ES256', other],
] as const) {
  const token = await from.sign({ groups });
  process.stdout.write(`${name}, token of ${token.length} characters, 10 groups, two issuers\n`);
  await measure('  a token verified before', 300_000, () => authenticator.authenticate(head(token)));
  const fresh = await Promise.all(Array.from({ length: 1_500 }, (_, index) => from.sign({ groups, jti: `${index}` })));
  const started = process.cpuUsage();
  for (const one of fresh) await authenticator.authenticate(head(one));
  const each = nanoseconds(started) / fresh.length / 1_000;
  process.stdout.write(`${'  a token at first sight'.padEnd(58)} ${each.toFixed(1)} µs\n`);
}
const caller = await authenticator.authenticate(head(await other.sign({ groups })));
const via = new Via(randomBytes(32));
await measure('upstream name and via of a known caller', 300_000, () =>
  via.of(upstreamName(caller), 1_700_000_000_000),
);

globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
for (let index = 0; index < 20_000; index += 1) {
  await authenticator
    .authenticate(head(`e30.${Buffer.from(`{"iss":"${issuer.url}","n":${index}}`).toString('base64url')}.AAAA`))
    .catch(() => {});
}
globalThis.gc?.();
const grown = (process.memoryUsage().heapUsed - before) / 1_048_576;
process.stdout.write(`${'heap after 20,000 distinct bad tokens'.padEnd(58)} ${grown.toFixed(1)} MB\n`);

await authenticator.close();
await Promise.all([issuer.close(), other.close()]);
