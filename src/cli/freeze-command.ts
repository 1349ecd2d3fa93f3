import { AdministratorError } from '../kubernetes/administrator.ts';
import { ADMINISTRATOR_OPTIONS, ADMINISTRATOR_USAGE, administrator } from './administrator-options.ts';
import { type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { agentName } from './gateway-url.ts';
import { table } from './table.ts';

const OPTIONS = { ...ADMINISTRATOR_OPTIONS, all: { type: 'boolean' }, reason: { type: 'string' } } as const;

const usage = `sallyport freeze AGENT|--all [--reason TEXT]
sallyport unfreeze AGENT|--all

While an agent is frozen its requests are refused, its open streams end and it gets no session, on every replica. --all
is everyone who comes through the gateway. Administrators only, straight at the API server:
${ADMINISTRATOR_USAGE}`;

/** `sallyport freeze AGENT|--all`: nothing more of that agent (or of anyone) passes the gate, within a second. */
export async function runFreeze(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand({ name: 'freeze', usage }, args, io, async () => {
    const { values, positionals } = readArguments(args, OPTIONS, 1);
    const agent = whom(values.all, positionals[0]);
    const api = administrator(values, io);
    const frozenBy = await api.whoami();
    const spec = {
      agent,
      ...(values.reason === undefined ? {} : { reason: values.reason.slice(0, 256) }),
      ...(frozenBy === '' ? {} : { frozenBy: frozenBy.slice(0, 256) }),
    };
    try {
      await api.create('agentfreezes', 'AgentFreeze', agent === '*' ? 'all' : `agent-${agent}`, spec);
    } catch (error) {
      if (!(error instanceof AdministratorError && error.status === 409)) throw error;
      io.stderr(`${shown(agent)} was frozen already\n`);
      return;
    }
    io.stdout(`${shown(agent)} is frozen; lift it with: sallyport unfreeze ${agent === '*' ? '--all' : agent}\n`);
  });
}

/** `sallyport unfreeze AGENT|--all`: lifts what `freeze` of the same words set; says what stays frozen. */
export async function runUnfreeze(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand({ name: 'unfreeze', usage }, args, io, async () => {
    const { values, positionals } = readArguments(args, OPTIONS, 1);
    const agent = whom(values.all, positionals[0]);
    const api = administrator(values, io);
    const freezes = await api.list('agentfreezes');
    const lifted = freezes.filter((freeze) => freeze.spec['agent'] === agent);
    for (const freeze of lifted) await api.delete('agentfreezes', freeze);
    if (lifted.length === 0) io.stderr(`${shown(agent)} was not frozen\n`);
    else io.stdout(`${shown(agent)} is not frozen any more\n`);
    const rest = freezes.filter((freeze) => !lifted.includes(freeze));
    if (rest.length === 0) return;
    const cell = (value: unknown) => (typeof value === 'string' ? value : '-');
    io.stderr('Still frozen:\n');
    io.stderr(
      table(
        ['AGENT', 'BY', 'REASON'],
        rest.map(({ spec }) => [cell(spec['agent']), cell(spec['frozenBy']), cell(spec['reason'])]),
      ),
    );
  });
}

function whom(all: boolean | undefined, name: string | undefined): string {
  if ((all === true) === (name !== undefined)) throw usageError('say which AGENT, or --all');
  return name === undefined ? '*' : agentName(name);
}

function shown(agent: string): string {
  return agent === '*' ? 'everything through the gateway' : `agent ${agent}`;
}
