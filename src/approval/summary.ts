import { escapeLine } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';
import type { Operation } from '../request/operation.ts';
import type { ApprovalRequest } from './approval-request.generated.ts';
import { conditionOf, cut, endOf } from './condition.ts';
import { hideArguments, hideText } from './hidden-arguments.ts';
import { kubectlForm } from './kubectl-form.ts';
import { requestLine } from './operation-record.ts';
import { shellWord } from './shell-words.ts';

/** As the CRD bounds it. */
export const MAX_SUMMARY = 32_768;

export interface SummaryFacts {
  readonly caller: Pick<Caller, 'issuer' | 'username' | 'agent' | 'onBehalfOf' | 'session'>;
  readonly operation: Operation;
  /** Of what a POST creates: its path has none. */
  readonly objectName?: string | undefined;
  readonly policy: string;
  readonly rule: string;
  readonly reason: string;
  readonly impersonateGroups?: readonly string[];
  /** What an approver must know of how the change was found out. */
  readonly notes?: readonly string[] | undefined;
  /** What was asked before about the same request. */
  readonly previous?: ApprovalRequest | undefined;
}

/**
 * What an approver must know, a fact a line. Whatever anyone but the gateway wrote stands in one line, escaped, behind a
 * word of ours: a line of the summary cannot be forged.
 */
export function summaryOf(facts: SummaryFacts): string {
  const { caller, operation, impersonateGroups = [], previous } = facts;
  const lines: string[] = [];
  const say = (word: string, text: string): void => void lines.push(`${word}: ${escapeLine(text)}`);
  const command = kubectlForm(operation, facts.objectName);
  if (command !== undefined) say('command', command);
  for (const note of [...warnings(operation), ...(facts.notes ?? [])]) say('note', note);
  say('request', hideText(requestLine(operation)));
  say('requester', `${caller.username} (${caller.issuer})`);
  if (caller.agent !== undefined) say('agent', caller.agent);
  if (caller.onBehalfOf !== undefined) say('on behalf of', caller.onBehalfOf);
  if (caller.session !== undefined) say('agent session', caller.session);
  say('policy', `${facts.policy}/${facts.rule}`);
  say('why', facts.reason);
  if (impersonateGroups.length > 0) say('would run with the groups', impersonateGroups.map(shellWord).join(' '));
  if (previous !== undefined) say('asked before', before(previous));
  const { exec } = operation;
  if (exec !== undefined && exec.command.length > 0) {
    // One by one: where one argument ends and the next begins must not be a matter of reading.
    for (const [index, word] of hideArguments(exec.command).entries()) say(`argv[${index}]`, shellWord(word));
  }
  return bounded(lines);
}

function warnings({ exec, portForward, dryRun }: Operation): string[] {
  const notes: string[] = [];
  if (portForward?.ports.length === 0) {
    notes.push('this approves every port of the Pod, but those about which another rule has something to say');
  }
  if (exec !== undefined && (exec.stdin || exec.tty)) {
    const what = exec.stdin && exec.tty ? 'input and a terminal' : exec.stdin ? 'input' : 'a terminal';
    notes.push(`this approves a live shell: with ${what}, what is typed into it afterwards is asked of nobody`);
  }
  const command = exec?.command ?? [];
  const hidden = hideArguments(command).filter((word, index) => word !== command[index]).length;
  // An option for a secret can stand before anything: who approves must know that something is not seen.
  if (hidden > 0)
    notes.push(`${hidden} of the arguments are hidden in part or whole, as secrets; they would be run as given`);
  if (dryRun) notes.push('a dry run: nothing is stored');
  return notes;
}

function before(previous: ApprovalRequest): string {
  const end = endOf(previous);
  const name = previous.metadata.name;
  const open = previous.status?.uses?.find(({ outcome }) => outcome === undefined);
  if (open !== undefined && end?.type !== 'OutcomeUnknown') {
    return `${name}, approved and forwarded at ${open.time}; WHAT CAME OF IT IS NOT WRITTEN DOWN: it may have run`;
  }
  if (end?.type === 'OutcomeUnknown') return `${name}, approved, and NOBODY KNOWS WHETHER IT RAN: ${end.message}`;
  if (end !== undefined) return `${name}: ${end.reason}${end.message === '' ? '' : `, ${end.message}`}`;
  return `${name}: ${conditionOf(previous, 'Approved') === undefined ? 'not decided' : 'approved'}`;
}

function bounded(lines: readonly string[]): string {
  const text = lines.join('\n');
  if ([...text].length <= MAX_SUMMARY) return text;
  const first = 'CUT: this is not the whole request; what is not shown would run all the same';
  return cut(`${first}\n${text}`, MAX_SUMMARY);
}
