import type { NotificationsConfiguration } from '../config/notifications.ts';
import type { Channel } from './channel.ts';
import { Email } from './email.ts';
import { Slack } from './slack.ts';
import { Webhook } from './webhook.ts';

/** The channels that the configuration names. @throws Error where one of its files is not what it should be */
export function createChannels({ slack, webhooks, email }: NotificationsConfiguration): Channel[] {
  return [
    ...slack.map((one) => new Slack(one)),
    ...webhooks.map((one) => new Webhook(one)),
    ...email.map((one) => new Email(one)),
  ];
}
