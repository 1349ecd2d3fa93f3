import type { ApprovalRequest } from '../approval/approval-request.generated.ts';
import { ServerRefusal } from '../kubernetes/person.ts';
import type { ApprovalInbox } from './approval-inbox.ts';
import type { InboxRow } from './approval-table.ts';
import { CommandError, usageError } from './command-io.ts';

/** Options of the commands that a person runs with their own kubeconfig, straight at the API server. */
export const INBOX_OPTIONS = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string', short: 'n' },
} as const;

export const INBOX_USAGE = `  -n, --namespace NAME            (several for lists: -n shop,pay)
  --kubeconfig FILE, --context NAME
                                  your own (default: as kubectl)
`;

export function namespaceList(text: string | undefined): string[] {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  for (const name of names) {
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) throw usageError(`"${name}" is no name of a namespace`);
  }
  return names;
}

/** @throws CommandError that says what to do where nothing may be read */
export async function listed(
  inbox: ApprovalInbox,
  namespaces: readonly string[],
  selector: string,
): Promise<InboxRow[]> {
  try {
    return await inbox.rows(namespaces, selector);
  } catch (error) {
    throw await explainRefusal(error, inbox, { namespace: namespaces[0] ?? inbox.defaultNamespace });
  }
}

/** What the API server refused, as something to do. */
export async function explainRefusal(
  error: unknown,
  inbox: ApprovalInbox,
  about: { readonly namespace: string; readonly name?: string },
  object?: ApprovalRequest,
): Promise<Error> {
  if (!(error instanceof ServerRefusal)) return error as Error;
  const { namespace, name } = about;
  if (error.status === 401)
    return new CommandError(`the API server does not know you: sign in anew (${error.message})`);
  if (error.status === 404 && error.reason !== 'NotFound')
    return new CommandError('the kinds of sallyport.dev are not installed there');
  if (error.status === 404) return new CommandError(await whereIs(inbox, about));
  // What the guard says is for people already; the API server puts its own words before it.
  const guard = /ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request: ([\s\S]*)$/.exec(error.message);
  if (guard !== null) return new CommandError(guard[1]!);
  if (error.status !== 403) return new CommandError(error.message);
  const me = await inbox.me().then(
    ({ username }) => username,
    () => 'you',
  );
  if (name === undefined) {
    return new CommandError(
      `${me} may not list approvalrequests.sallyport.dev in ${namespace}: ask for that, or name other namespaces with -n`,
    );
  }
  const policy = object === undefined ? '' : ` and approve on agentpolicies/${object.spec.policyRef.name}`;
  const right = object === undefined ? 'get on approvalrequests' : `patch on approvalrequests/status${policy}`;
  return new CommandError(
    `${me} may not do that in ${namespace}: it takes RBAC's ${right} (of sallyport.dev), as docs/approvals.md shows`,
  );
}

/** Names are unique by namespace, and one forgets -n. */
async function whereIs(
  inbox: ApprovalInbox,
  { namespace, name }: { namespace: string; name?: string },
): Promise<string> {
  const missing = `there is no approval request ${name} in the namespace ${namespace}`;
  const elsewhere = await inbox.rows([], `metadata.name=${name}`).catch(() => []);
  const found = elsewhere.map((row) => `-n ${row.namespace}`);
  if (found.length > 0) return `${missing}; there is one with ${found.slice(0, 5).join(', ')}`;
  return `${missing}; "kubectl approvals" lists what waits`;
}
