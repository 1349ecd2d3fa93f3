import { Person } from '../kubernetes/person.ts';
import { ApprovalInbox } from './approval-inbox.ts';
import { explainRefusal, INBOX_OPTIONS, INBOX_USAGE, listed, namespaceList } from './approval-options.ts';
import type { InboxRow } from './approval-table.ts';
import { shortDuration, until } from './approval-view.ts';
import { type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { table } from './table.ts';

const OPTIONS = {
  ...INBOX_OPTIONS,
  'all-namespaces': { type: 'boolean', short: 'A' },
  all: { type: 'boolean' },
  session: { type: 'string' },
  watch: { type: 'boolean', short: 'w' },
  output: { type: 'string', short: 'o' },
} as const;

const usage = `kubectl approvals [-n NAMESPACE[,NAMESPACE...]] [--watch] [--session SESSION] [--all] [-o table|json|name]

What waits for a decision, newest first, in all namespaces that you may read.

  --all              what has been decided or has ended, too
  --session SESSION  of one agent session only
  -w, --watch        go on with what comes and changes
  -o FORMAT          table, json (one object of all rows), name
${INBOX_USAGE}`;

type Output = 'table' | 'json' | 'name';

/** `kubectl approvals`. */
export async function runApprovals(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand({ name: 'approvals', usage, program: 'kubectl approvals' }, args, io, async () => {
    const { values } = readArguments(args, OPTIONS);
    const output = (values.output ?? 'table') as Output;
    if (!['table', 'json', 'name'].includes(output)) throw usageError('--output is table, json or name');
    if (values.watch === true && output === 'json') throw usageError('--watch and -o json do not go together');
    if (values['all-namespaces'] === true && values.namespace !== undefined)
      throw usageError('either --namespace or --all-namespaces');
    if (values.session !== undefined && !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(values.session)) {
      throw usageError(`"${values.session}" is no name of an agent session`);
    }
    const namespaces = namespaceList(values.namespace);
    const selector = [
      ...(values.all === true ? [] : ['status.phase=Pending']),
      ...(values.session === undefined ? [] : [`spec.requester.session=${values.session}`]),
    ].join(',');
    const person = new Person({ kubeconfig: values.kubeconfig, context: values.context, env: io.env });
    const inbox = new ApprovalInbox(person);
    try {
      const rows = await listed(inbox, namespaces, selector);
      print(rows, output, values.all === true, io);
      if (values.watch === true) await watch(inbox, namespaces, rows, output, io);
    } finally {
      person.close();
    }
  });
}

function print(rows: readonly InboxRow[], output: Output, all: boolean, io: CommandIO): void {
  if (output === 'json') {
    io.stdout(`${JSON.stringify({ approvals: rows }, null, 2)}\n`);
    return;
  }
  if (rows.length === 0) io.stderr(all ? 'there are no approval requests\n' : 'nothing waits for a decision\n');
  else if (output === 'name') io.stdout(rows.map(nameLine).join(''));
  else io.stdout(table(HEADER, rows.map(cells)));
}

const HEADER = ['NAMESPACE', 'NAME', 'PHASE', 'REQUESTER', 'AGENT', 'OPERATION', 'POLICY', 'EXPIRES', 'AGE'];

function cells(row: InboxRow): string[] {
  const now = Date.now();
  const { namespace, name, phase, requester, agent, operation, policy, expires, created } = row;
  const due = phase === 'Pending' ? until(expires, now) : '-';
  return [
    namespace,
    name,
    phase,
    requester,
    agent || '-',
    operation,
    policy,
    due,
    shortDuration(now - Date.parse(created)),
  ];
}

function nameLine({ name }: InboxRow): string {
  return `approvalrequest.sallyport.dev/${name}\n`;
}

/** One line for each request that comes, and for each that is in another phase than before. */
async function watch(
  inbox: ApprovalInbox,
  namespaces: readonly string[],
  shown: readonly InboxRow[],
  output: Output,
  io: CommandIO,
): Promise<void> {
  const phases = new Map(shown.map((row) => [`${row.namespace}/${row.name}`, row.phase]));
  try {
    for await (const { type, row } of inbox.changes(namespaces)) {
      const key = `${row.namespace}/${row.name}`;
      if (type === 'DELETED') phases.delete(key);
      else if (phases.get(key) !== row.phase) {
        const isNew = !phases.has(key);
        phases.set(key, row.phase);
        // What had ended before it was first seen is of no interest.
        if (!isNew || row.phase === 'Pending') io.stdout(output === 'name' ? nameLine(row) : line(row));
        if (row.phase !== 'Pending' && row.phase !== 'Approved') phases.delete(key);
      }
    }
  } catch (error) {
    throw await explainRefusal(error, inbox, { namespace: namespaces[0] ?? inbox.defaultNamespace });
  }
}

function line(row: InboxRow): string {
  return table(cells(row), []);
}
