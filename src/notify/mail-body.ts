import { headlineOf, type Message, type Notice } from './notice.ts';

const MAX_SHOWN = 20;

/**
 * Plain text. Programs make links of what looks like one, so in what others wrote `://` stands as `:\u{2f}\u{2f}` and
 * `www.` as `www\u{2e}`: links are ours alone.
 */
export function mailText(message: Message, includeDiff: boolean): string {
  const { notices } = message;
  const blocks = notices.slice(0, MAX_SHOWN).map((notice) => {
    const lines = [
      `${notice.namespace}/${notice.name}, until ${notice.expirationTime}`,
      ...(notice.truncated ? ['  Not shown in full here.'] : []),
      ...notice.summary.map((line) => `  ${withoutLinks(line)}`),
      ...changeOf(notice, includeDiff).map((line) => `  ${withoutLinks(line)}`),
      '',
      `  To look at it and decide: ${notice.approve}`,
      ...(notice.link === undefined ? [] : [`  ${notice.link}`]),
    ];
    return lines.join('\n');
  });
  return `${[headlineOf(message), ...blocks, ...more(notices.length)].join('\n\n')}\n`;
}

/** HTML with nothing in it but text, one style and our links: no images, no scripts, nothing that is fetched. */
export function mailHTML(message: Message, includeDiff: boolean): string {
  const { notices } = message;
  const blocks = notices.slice(0, MAX_SHOWN).map((notice) => {
    const change = changeOf(notice, includeDiff);
    const link = notice.link === undefined ? '' : `<p><a href="${html(notice.link)}">Look at it and decide</a></p>`;
    return [
      `<h3>${html(`${notice.namespace}/${notice.name}`)}, until ${html(notice.expirationTime)}</h3>`,
      notice.truncated ? '<p>Not shown in full here.</p>' : '',
      `<pre>${notice.summary.map(htmlWithoutLinks).join('\n')}</pre>`,
      change.length === 0 ? '' : `<pre>${change.map(htmlWithoutLinks).join('\n')}</pre>`,
      `<p><code>${html(notice.approve)}</code></p>`,
      link,
    ].join('\n');
  });
  const rest = more(notices.length).map((text) => `<p>${html(text)}</p>`);
  return `<!doctype html>\n<meta charset="utf-8">\n<p>${html(headlineOf(message))}</p>\n${[...blocks, ...rest].join('\n<hr>\n')}\n`;
}

function changeOf({ diff }: Notice, includeDiff: boolean): readonly string[] {
  return includeDiff && diff !== undefined ? diff : [];
}

function more(count: number): string[] {
  return count > MAX_SHOWN ? [`and ${count - MAX_SHOWN} more: kubectl approvals`] : [];
}

function withoutLinks(line: string): string {
  return line.replaceAll('://', ':\\u{2f}\\u{2f}').replace(/\bwww\./gi, (www) => `${www.slice(0, 3)}\\u{2e}`);
}

function html(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** `<wbr>` parts what a program would take for a link or an address; it shows, and copies, as nothing. */
function htmlWithoutLinks(line: string): string {
  return html(withoutLinks(line)).replace(/[.@]/g, '$&<wbr>');
}
