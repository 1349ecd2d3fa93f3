import { escapeLine } from '../errors.ts';
import type { Administrator, CustomObject } from '../kubernetes/administrator.ts';
import { ADMINISTRATOR_OPTIONS, ADMINISTRATOR_USAGE, administrator } from './administrator-options.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { connect, personToken, readSignInFlags, SIGN_IN_OPTIONS, SIGN_IN_USAGE } from './credential-command.ts';
import type { GatewayClient, OwnSession } from './gateway-client.ts';
import { agentName } from './gateway-url.ts';
import { table } from './table.ts';

const OPTIONS = {
  ...SIGN_IN_OPTIONS,
  ...ADMINISTRATOR_OPTIONS,
  agent: { type: 'string' },
  person: { type: 'string' },
  reason: { type: 'string' },
  all: { type: 'boolean' },
  output: { type: 'string', short: 'o' },
} as const;

const HELP = {
  name: 'session',
  usage: `sallyport session list [--agent NAME] [--person NAME] [--all] [-o table|json]
sallyport session revoke NAME | --agent NAME | --person NAME [--reason TEXT]

All sessions, with an administrator's own kubeconfig straight at the API server:
${ADMINISTRATOR_USAGE}
or the sessions of the person who signs in, at the gateway:
  --gateway URL
${SIGN_IN_USAGE}`,
};

type Values = ReturnType<typeof readArguments<typeof OPTIONS>>['values'];

/** A session as both ways of listing show it. */
interface Row extends OwnSession {
  readonly object: CustomObject | undefined;
}

/** Where sessions are listed and ended: at the API server by an administrator, or at the gateway by their person. */
interface Place {
  list(): Promise<Row[]>;
  revoke(row: Row, reason: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * `sallyport session list|revoke`: with the administrator's own kubeconfig (all sessions), or, with `--gateway URL`, as
 * the person who signs in (their own).
 */
export async function runSession(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand(HELP, args, io, async () => {
    const { values, positionals } = readArguments(args, OPTIONS, 2);
    const [action, name] = positionals;
    if (action !== 'list' && action !== 'revoke') throw usageError('say "session list" or "session revoke NAME"');
    if (action === 'list' && name !== undefined) throw usageError('"session list" takes no name');
    const output = values.output ?? 'table';
    if (output !== 'table' && output !== 'json') throw usageError('--output is table or json');
    const wanted = selection(values);
    if (action === 'revoke' && (name === undefined) === (values.agent === undefined && values.person === undefined)) {
      throw usageError('"session revoke" takes a NAME, or --agent and/or --person');
    }
    const place = values.gateway === undefined ? administratorPlace(values, io) : await gatewayPlace(values, io);
    try {
      const rows = (await place.list()).filter(wanted);
      if (action === 'list')
        print(
          rows.filter((row) => values.all === true || isLive(row)),
          output,
          io,
        );
      else await revoke(place, rows, name, values.reason ?? '', io);
    } finally {
      await place.close();
    }
  });
}

function selection(values: Values): (row: Row) => boolean {
  const agent = values.agent === undefined ? undefined : agentName(values.agent);
  const { person } = values;
  return (row) => (agent === undefined || row.agent === agent) && (person === undefined || row.onBehalfOf === person);
}

function isLive(row: Row): boolean {
  return !row.revoked && Date.parse(row.expirationTime) > Date.now();
}

async function revoke(
  place: Place,
  rows: Row[],
  name: string | undefined,
  reason: string,
  io: CommandIO,
): Promise<void> {
  const chosen = name === undefined ? rows.filter(isLive) : rows.filter((row) => row.name === name);
  if (chosen.length === 0)
    throw new CommandError(name === undefined ? 'no live session matches' : `there is no session ${name}`);
  for (const row of chosen) {
    if (row.revoked) {
      io.stderr(`${escapeLine(row.name)} was revoked already\n`);
      continue;
    }
    await place.revoke(row, reason);
    io.stdout(`${escapeLine(row.name)} revoked\n`);
  }
}

function print(rows: Row[], output: 'table' | 'json', io: CommandIO): void {
  rows.sort((a, b) => b.creationTime.localeCompare(a.creationTime));
  if (output === 'json') {
    const sessions = rows.map(({ object: _, ...row }) => row);
    io.stdout(`${JSON.stringify({ sessions }, null, 2)}\n`);
    return;
  }
  if (rows.length === 0) {
    io.stderr('no live sessions (--all shows ended ones too)\n');
    return;
  }
  const lines = rows.map((row) => [
    row.name,
    row.agent,
    row.onBehalfOf,
    row.expirationTime,
    row.revoked ? `revoked${row.reason === undefined ? '' : `: ${row.reason}`}` : isLive(row) ? 'live' : 'expired',
    row.lastSeenTime ?? '-',
  ]);
  io.stdout(table(['NAME', 'AGENT', 'ON BEHALF OF', 'EXPIRES', 'STATE', 'LAST SEEN'], lines));
}

function administratorPlace(values: Values, io: CommandIO): Place {
  const api: Administrator = administrator(values, io);
  return {
    async list() {
      return (await api.list('agentsessions')).map(rowOf);
    },
    async revoke(row, reason) {
      const revokedBy = await api.whoami();
      await api.patchStatus('agentsessions', row.object!, {
        revoked: true,
        reason: (reason || 'revoked by an administrator').slice(0, 512),
        revokedBy: revokedBy.slice(0, 256),
        revokedTime: new Date().toISOString(),
      });
    },
    async close() {},
  };
}

async function gatewayPlace(values: Values, io: CommandIO): Promise<Place> {
  const flags = readSignInFlags(values, io);
  const gateway: GatewayClient = await connect(flags);
  let idToken: string | undefined;
  try {
    ({ idToken } = await personToken(flags, await gateway.configuration(), false, io));
  } catch (error) {
    await gateway.close();
    throw error;
  }
  return {
    async list() {
      return (await gateway.sessions(idToken)).map((session) => ({ ...session, object: undefined }));
    },
    revoke: (row) => gateway.revoke(idToken, row.name),
    close: () => gateway.close(),
  };
}

function rowOf(object: CustomObject): Row {
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  const { spec, status = {} } = object;
  return {
    object,
    name: object.metadata.name,
    agent: text(spec['agent']),
    onBehalfOf: text(spec['onBehalfOf']),
    creationTime: text(object.metadata.creationTimestamp),
    expirationTime: text(spec['expirationTime']),
    revoked: status['revoked'] === true,
    ...(typeof status['reason'] === 'string' ? { reason: status['reason'] } : {}),
    ...(typeof status['lastSeenTime'] === 'string' ? { lastSeenTime: status['lastSeenTime'] } : {}),
  };
}
