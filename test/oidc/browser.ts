import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/**
 * A browser without a window: follows redirects, keeps cookies, and fills in whatever form it meets as a person called
 * `login` would, until a page has no form. Run as a program it is what BROWSER names: its argument is the address.
 */
export class ScriptedBrowser {
  readonly #cookies = new Map<string, Map<string, string>>();
  readonly #login: string;
  /** Paths of the pages seen. */
  readonly seen: string[] = [];

  constructor(login: string) {
    this.#login = login;
  }

  /** @returns the last page's text. */
  async open(address: string): Promise<string> {
    let page = await this.#go(address);
    for (let step = 0; step < 15; step++) {
      const form = readForm(page.text);
      if (form === undefined) return page.text;
      const fields = new URLSearchParams(form.hidden);
      if (form.names.includes('login')) fields.set('login', this.#login);
      if (form.names.includes('password')) fields.set('password', 'any');
      page = await this.#go(new URL(form.action, page.url).href, fields);
    }
    throw new Error(`still a form on ${page.url}`);
  }

  cookies(): string {
    return JSON.stringify([...this.#cookies].map(([host, jar]) => [host, [...jar]]));
  }

  remember(cookies: string): void {
    for (const [host, jar] of JSON.parse(cookies) as [string, [string, string][]][])
      this.#cookies.set(host, new Map(jar));
  }

  async #go(address: string, fields?: URLSearchParams): Promise<{ url: string; text: string }> {
    let target = new URL(address);
    let body = fields;
    for (let hop = 0; hop < 15; hop++) {
      const answer = await fetch(target, {
        method: body === undefined ? 'GET' : 'POST',
        redirect: 'manual',
        headers: { cookie: this.#cookieHeader(target) },
        ...(body === undefined ? {} : { body }),
      });
      this.seen.push(target.pathname);
      this.#keep(target, answer.headers.getSetCookie());
      const text = await answer.text();
      const location = answer.headers.get('location');
      if (location === null) return { url: target.href, text };
      target = new URL(location, target);
      body = undefined;
    }
    throw new Error(`redirects without end at ${target.href}`);
  }

  #cookieHeader(url: URL): string {
    const pairs = [...(this.#cookies.get(url.host) ?? [])];
    return pairs.map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #keep(url: URL, set: readonly string[]): void {
    const jar = this.#cookies.get(url.host) ?? new Map<string, string>();
    this.#cookies.set(url.host, jar);
    for (const line of set) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const [name, value] = [pair!.slice(0, pair!.indexOf('=')), pair!.slice(pair!.indexOf('=') + 1)];
      const over = attributes.some((attribute) => /^expires=Thu, 01 Jan 1970/i.test(attribute));
      if (over) jar.delete(name);
      else jar.set(name, value);
    }
  }
}

function readForm(html: string): { action: string; hidden: Record<string, string>; names: string[] } | undefined {
  const form = /<form\b[^>]*\baction="([^"]*)"[^>]*>([\s\S]*?)<\/form>/.exec(html);
  if (form === null) return undefined;
  const hidden: Record<string, string> = {};
  const names: string[] = [];
  for (const [input] of form[2]!.matchAll(/<input\b[^>]*>/g)) {
    const attribute = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(input)?.[1];
    const name = attribute('name');
    if (name === undefined) continue;
    names.push(name);
    if (attribute('type') === 'hidden') hidden[name] = plain(attribute('value') ?? '');
  }
  return { action: plain(form[1]!), hidden, names };
}

function plain(text: string): string {
  return text
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
}

if (import.meta.main) {
  const browser = new ScriptedBrowser(process.env['BROWSER_LOGIN'] ?? 'alice');
  const jar = process.env['BROWSER_COOKIES'];
  if (jar !== undefined && existsSync(jar)) browser.remember(readFileSync(jar, 'utf8'));
  await browser.open(process.argv[2]!);
  if (jar !== undefined) writeFileSync(jar, browser.cookies(), { mode: 0o600 });
}
