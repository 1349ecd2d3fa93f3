import type { ApprovalRequest, ApprovalRequestStatusDecision } from '../approval/approval-request.generated.ts';
import { escapeLine } from '../errors.ts';
import { Person } from '../kubernetes/person.ts';
import { ApprovalInbox } from './approval-inbox.ts';
import { explainRefusal, INBOX_OPTIONS, INBOX_USAGE, listed, namespaceList } from './approval-options.ts';
import { paint, viewOf } from './approval-view.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { type Outcome, takenIn } from './decision-outcome.ts';
import { refusalBefore } from './decision-refusal.ts';

const APPROVE_OPTIONS = {
  ...INBOX_OPTIONS,
  reason: { type: 'string' },
  for: { type: 'string' },
  'allow-truncated': { type: 'boolean' },
  session: { type: 'string' },
  yes: { type: 'boolean', short: 'y' },
  'no-wait': { type: 'boolean' },
} as const;

const approveUsage = `kubectl approve [-n NAMESPACE] NAME... [--reason TEXT] [--for 30m] [--allow-truncated] [--yes]
kubectl approve --session SESSION [--reason TEXT] [--yes]

Shows each request as it would run, with its change, and approves it in your own name. On a terminal it asks first.

  --reason TEXT      why, kept with the decision
  --for DURATION     open the rule for the whole agent session for so long, instead of this request alone
  --allow-truncated  approve a change that is not shown in full
  --session SESSION  everything that waits of one agent session
  -y, --yes          do not ask
  --no-wait          do not wait until the decision is taken in
${INBOX_USAGE}`;

const denyUsage = `kubectl deny [-n NAMESPACE] NAME... [--reason TEXT]
kubectl deny --session SESSION [--reason TEXT]

Denies requests, or takes back what was approved and is not used up (a session grant too). Whoever asked sees the reason.

  --reason TEXT      why
  --session SESSION  everything that waits of one agent session
  --no-wait          do not wait until the decision is taken in
${INBOX_USAGE}`;

type Values = ReturnType<typeof readArguments<typeof APPROVE_OPTIONS>>['values'];

/** `kubectl approve`. */
export async function runApprove(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand({ name: 'approve', usage: approveUsage, program: 'kubectl approve' }, args, io, () =>
    decide('Approved', args, io),
  );
}

/** `kubectl deny`. */
export async function runDeny(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand({ name: 'deny', usage: denyUsage, program: 'kubectl deny' }, args, io, () =>
    decide('Denied', args, io),
  );
}

async function decide(type: 'Approved' | 'Denied', args: readonly string[], io: CommandIO): Promise<void> {
  const { values, positionals } = readArguments(args, APPROVE_OPTIONS, 1_000);
  check(type, values, positionals);
  const person = new Person({ kubeconfig: values.kubeconfig, context: values.context, env: io.env });
  const inbox = new ApprovalInbox(person);
  try {
    const wanted =
      values.session === undefined ? named(positionals, values, inbox) : await ofSession(values.session, values, inbox);
    const shown = await fetchAll(inbox, wanted, io);
    const chosen = type === 'Denied' ? shown.objects : await confirmed(shown.objects, values, io);
    let failed = shown.failed + (shown.objects.length - chosen.length);
    for (const object of chosen) {
      try {
        const outcome = await decideOne(inbox, object, type, values);
        io.stdout(`${said(object, outcome)}\n`);
      } catch (error) {
        failed += 1;
        complain(error, object.metadata.name, io);
      }
    }
    if (failed > 0)
      throw new CommandError(
        `${failed} of ${shown.failed + shown.objects.length} not ${type === 'Approved' ? 'approved' : 'denied'}`,
      );
  } finally {
    person.close();
  }
}

function check(type: 'Approved' | 'Denied', values: Values, names: readonly string[]): void {
  if (names.length > 0 === (values.session !== undefined)) throw usageError('say which: NAME..., or --session SESSION');
  if (
    type === 'Denied' &&
    (values.for !== undefined || values['allow-truncated'] !== undefined || values.yes !== undefined)
  ) {
    throw usageError('--for, --allow-truncated and --yes are of "kubectl approve"');
  }
  if (values.for !== undefined && !/^([0-9]{1,6}[smh])+$/.test(values.for))
    throw usageError('--for takes a duration such as 30m or 1h30m');
  if ([...(values.reason ?? '')].length > 512) throw usageError('--reason is longer than 512 characters');
}

interface Ref {
  readonly namespace: string;
  readonly name: string;
}

/** `NAME`, `approvalrequest/NAME`, `areq/NAME`. */
function named(names: readonly string[], values: Values, inbox: ApprovalInbox): Ref[] {
  const namespaces = namespaceList(values.namespace);
  if (namespaces.length > 1) throw usageError('one namespace at a time');
  const namespace = namespaces[0] ?? inbox.defaultNamespace;
  return [...new Set(names)].map((text) => {
    const name = text.replace(/^(?:approvalrequests?|areq)(?:\.sallyport\.dev)?\//, '');
    if (!/^ar-[0-9a-z]{10}-[0-9]{1,9}$/.test(name))
      throw usageError(`"${text}" is no name of an approval request (ar-…)`);
    return { namespace, name };
  });
}

async function ofSession(session: string, values: Values, inbox: ApprovalInbox): Promise<Ref[]> {
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(session))
    throw usageError(`"${session}" is no name of an agent session`);
  const selector = `status.phase=Pending,spec.requester.session=${session}`;
  const rows = await listed(inbox, namespaceList(values.namespace), selector);
  if (rows.length === 0) throw new CommandError(`nothing of the agent session ${session} waits for a decision`);
  return rows;
}

async function fetchAll(inbox: ApprovalInbox, wanted: readonly Ref[], io: CommandIO) {
  const objects: ApprovalRequest[] = [];
  let failed = 0;
  for (const { namespace, name } of wanted) {
    try {
      objects.push(await inbox.get(namespace, name));
    } catch (error) {
      failed += 1;
      complain(await explainRefusal(error, inbox, { namespace, name }), name, io);
    }
  }
  return { objects, failed };
}

/** Each is shown; then, on a terminal, one question for all of them. A name that was typed is a will, a session is not. */
async function confirmed(
  objects: readonly ApprovalRequest[],
  values: Values,
  io: CommandIO,
): Promise<readonly ApprovalRequest[]> {
  const { terminal } = io;
  for (const object of objects) io.stdout(`${viewOf(object, Date.now(), terminal?.colours ? paint : undefined)}\n`);
  if (values.yes === true || objects.length === 0) return objects;
  if (terminal === undefined) {
    if (values.session === undefined) return objects;
    throw new CommandError('this is no terminal, so nobody can be asked: --yes approves all of the above');
  }
  const what = objects.length === 1 ? objects[0]!.metadata.name : `these ${objects.length}`;
  const grant = values.for === undefined ? '' : `, and all that their rules ask about, for ${values.for}`;
  const word = await terminal.ask(`Approve ${what}${grant}? [y/N] `);
  if (/^y(es)?$/i.test(word.trim())) return objects;
  throw new CommandError('nothing was approved');
}

async function decideOne(
  inbox: ApprovalInbox,
  object: ApprovalRequest,
  type: 'Approved' | 'Denied',
  values: Values,
): Promise<Outcome> {
  const me = await inbox.me();
  const decision: ApprovalRequestStatusDecision = {
    type,
    username: me.username,
    ...(me.uid === '' ? {} : { uid: me.uid }),
    ...(values.reason === undefined ? {} : { reason: values.reason }),
    ...(values.for === undefined ? {} : { grantDuration: values.for }),
    ...(values['allow-truncated'] === true ? { allowTruncated: true } : {}),
    ...signIn(object, me.extra['sallyport.dev/auth-time']?.[0]),
  };
  const refusal = refusalBefore(object, decision);
  if (refusal !== undefined) throw new CommandError(refusal);
  const until = Date.now() + 3_000;
  for (;;) {
    try {
      await inbox.decide(object, decision);
      break;
    } catch (error) {
      // Another's word is just being taken in; then this one's turn comes.
      const isBusy = /another decision is just being taken in/.test((error as Error).message);
      if (!isBusy || Date.now() > until) {
        throw await explainRefusal(
          error,
          inbox,
          { namespace: object.metadata.namespace!, name: object.metadata.name },
          object,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  return values['no-wait'] === true ? { kind: 'Written', object } : await takenIn(inbox, object, decision);
}

/** When one signed in is needed only for what one's own agent asked. */
function signIn({ spec }: ApprovalRequest, time: string | undefined): { authTime?: number } {
  if (spec.approvers !== 'IncludeOnBehalfOf' || time === undefined || !/^[1-9][0-9]{0,11}$/.test(time)) return {};
  return { authTime: Number(time) };
}

function said(object: ApprovalRequest, outcome: Outcome): string {
  const name = `approvalrequest.sallyport.dev/${object.metadata.name}`;
  switch (outcome.kind) {
    case 'Written':
      return `${name}: the decision is written, and will be taken in by the controller`;
    case 'Missing':
      return `${name} approved by you; ${outcome.missing} more ${outcome.missing === 1 ? 'person has' : 'people have'} to approve`;
    case 'Approved':
      return `${name} approved`;
    case 'Granted':
      return `${name} approved: the rule is open for the agent session until ${outcome.until}; "kubectl deny -n ${object.metadata.namespace} ${object.metadata.name}" closes it`;
    case 'Denied':
      return `${name} denied`;
    case 'Revoked':
      return `${name} revoked`;
  }
}

function complain(error: unknown, name: string, io: CommandIO): void {
  const message = error instanceof Error ? error.message : String(error);
  io.stderr(`${name}: ${message.split('\n').map(escapeLine).join('\n')}\n`);
}
