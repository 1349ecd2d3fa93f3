import { type SlackConfiguration, targetProblem } from '../config/notifications.ts';
import { ReloadedFile } from '../kubernetes/reloaded-file.ts';
import type { Channel } from './channel.ts';
import { HttpPost } from './http-post.ts';
import { headlineOf, type Message, type Notice } from './notice.ts';

/** Blocks are 50 at most; a message that nobody can overlook is of no use either. */
const MAX_SHOWN = 10;
/** Characters of one text. */
const MAX_TEXT = 2_900;

/** A Slack incoming webhook. Its URL is a secret, so it comes from a file, and is in no error and no log. */
export class Slack implements Channel {
  readonly kind = 'Slack';
  readonly name: string;
  readonly #url: ReloadedFile;
  readonly #post = new HttpPost();
  readonly #includeDiff: boolean;

  /** @throws Error where the file does not hold a URL */
  constructor({ name, webhookURLFile, includeDiff }: SlackConfiguration) {
    this.name = name;
    this.#includeDiff = includeDiff;
    this.#url = new ReloadedFile(webhookURLFile, {
      validate: (text) => {
        const problem = targetProblem(text.trim());
        if (problem !== undefined) throw new Error(`${webhookURLFile}: ${problem}`);
      },
    });
  }

  async send(message: Message, signal: AbortSignal): Promise<void> {
    const body = JSON.stringify(slackMessage(message, this.#includeDiff));
    await this.#post.send(this.#url.current().trim(), body, {}, signal);
  }

  close(): Promise<void> {
    return this.#post.close();
  }
}

/**
 * A message in Block Kit. What others wrote stands in `rich_text` elements of the type `text` alone: Slack takes those as
 * they are, so no mention, link or formatting can come of them. What Slack does parse (`text`, for notifications and for
 * clients without blocks) holds names and our own commands only.
 */
export function slackMessage(message: Message, includeDiff: boolean): object {
  const { notices } = message;
  const shown = notices.slice(0, MAX_SHOWN);
  const left = notices.length - shown.length;
  const commands = shown.map(({ approve }) => `\n${mrkdwn(approve)}`).join('');
  return {
    text: mrkdwn(headlineOf(message)) + commands,
    unfurl_links: false,
    unfurl_media: false,
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: headlineOf(message).slice(0, 150), emoji: false } },
      ...shown.flatMap((notice) => [
        { type: 'rich_text', elements: elements(notice, includeDiff) },
        { type: 'divider' },
      ]),
      ...(left > 0 ? [{ type: 'rich_text', elements: [section(`and ${left} more: kubectl approvals`)] }] : []),
    ],
  };
}

function elements(notice: Notice, includeDiff: boolean): object[] {
  const { link, diff } = notice;
  return [
    section(`${notice.namespace}/${notice.name}, until ${notice.expirationTime}`, { bold: true }),
    ...(notice.truncated ? [section('Not shown in full here.')] : []),
    preformatted(notice.summary),
    ...(includeDiff && diff !== undefined && diff.length > 0 ? [preformatted(diff)] : []),
    preformatted([notice.approve]),
    ...(link === undefined
      ? []
      : [{ type: 'rich_text_section', elements: [{ type: 'link', url: link, text: 'Look at it and decide' }] }]),
  ];
}

function section(text: string, style?: { bold: true }): object {
  return { type: 'rich_text_section', elements: [{ type: 'text', text, ...(style && { style }) }] };
}

function preformatted(lines: readonly string[]): object {
  const text = lines.join('\n');
  const shown = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}\nCUT: there is more than is shown here` : text;
  return { type: 'rich_text_preformatted', elements: [{ type: 'text', text: shown === '' ? '-' : shown }] };
}

/** The three characters that Slack's mrkdwn knows. */
function mrkdwn(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
