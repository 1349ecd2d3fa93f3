import * as z from 'zod';
import { duration } from './duration.ts';

/** What is done in the background for the whole installation, by one replica at a time: `controller`. */
export const controller = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe('Run the controller in this process; false where `sallyport controller` runs on its own.'),
  leaseDuration: duration('15s', { min: '2s', max: '5m' }).describe(
    'Another replica takes over when the leading one was not heard of for this long.',
  ),
  maxSignInAge: duration('1h', { min: '1m', max: '720h' }).describe(
    'How old the sign-in of a person may be who approves what their own agent asked (`approvers: IncludeOnBehalfOf`).',
  ),
  outcomePatience: duration('2m', { min: '1s', max: '1h' }).describe(
    'A use of an approval whose outcome is not written for this long belongs to a gateway that has ended; at least `upstream.requestTimeout` and a minute.',
  ),
  approvalRetention: duration('168h', { min: '1m', max: '8760h' }).describe(
    'ApprovalRequest objects are kept this long after their end.',
  ),
});

export type ControllerConfiguration = z.output<typeof controller>;
