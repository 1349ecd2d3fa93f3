/**
 * Stands for Alice at her browser: opens the sign-in page it is given, picks her name, and follows where it leads, the
 * command line's loopback address at the end. Run as `browser.ts PERSON URL`.
 */
const [person = '', first = ''] = process.argv.slice(2);
const cookies = new Map<string, string>();
let next = first;
for (let step = 0; step < 15; step++) {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  const answer = await fetch(next, { redirect: 'manual', headers: { cookie } });
  for (const set of answer.headers.getSetCookie()) {
    const [name, value] = set.split(';', 1)[0]!.split('=', 2);
    cookies.set(name!, value ?? '');
  }
  const location = answer.headers.get('location');
  if (location === null) break;
  const url = new URL(location, next);
  if (url.pathname.startsWith('/interaction/')) url.searchParams.set('as', person);
  next = url.href;
}
