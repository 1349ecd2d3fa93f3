import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { escapeLine } from '../errors.ts';
import { CommandError, type CommandIO, readArguments, runCommand } from './command-io.ts';
import { connect, readSignInFlags, SIGN_IN_OPTIONS, SIGN_IN_USAGE } from './credential-command.ts';
import { agentName, readCertificates } from './gateway-url.ts';
import { findNeighbours, kubeconfigFiles } from './kubeconfig-neighbours.ts';

const OPTIONS = {
  ...SIGN_IN_OPTIONS,
  agent: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string' },
  output: { type: 'string' },
  ttl: { type: 'string' },
  'offline-access': { type: 'boolean' },
  command: { type: 'string' },
  force: { type: 'boolean' },
} as const;

const HELP = {
  name: 'kubeconfig',
  usage: `sallyport kubeconfig --agent NAME --gateway URL [options]

Writes a kubeconfig (0600) whose only context is the gateway. There is no secret in it: kubectl asks "sallyport
credential", or re-reads the token file of a CI job.

  --output FILE                   where to (~/.kube/sallyport-NAME.yaml); "-" is standard output
  --context NAME                  name of the context (sallyport-NAME)
  --namespace NAME                its namespace
  --ttl DURATION                  length of sessions
  --offline-access                sessions are renewed without a sign-in while the issuer's refresh token lasts
  --command PROGRAM               what kubectl runs in place of "sallyport"
  --force                         overwrite a file that this command has not written
${SIGN_IN_USAGE}`,
};

/** First line of every file of ours, so that none of another origin is overwritten. */
const MARK = '# Written by "sallyport kubeconfig": no secret is in here.';

/**
 * `sallyport kubeconfig`: writes a kubeconfig whose only context is the gateway, with kubectl's exec-credential plugin
 * (or, for CI, a token file that kubectl re-reads) and no long-lived secret.
 */
export async function runKubeconfig(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand(HELP, args, io, async () => {
    const { values } = readArguments(args, OPTIONS);
    const agent = agentName(values.agent);
    const flags = readSignInFlags(values, io);
    const context = values.context ?? `sallyport-${agent}`;
    const home = io.env['HOME'] || homedir();
    const file = values.output ?? join(home, '.kube', `sallyport-${agent}.yaml`);
    await checkAgent(flags, agent, io);

    const ca = values.ca === undefined ? undefined : readCertificates(values.ca);
    const text = `${MARK}\n${stringify(kubeconfig({ ...values, agent, context, gateway: flags.gateway, ca }, io))}`;
    if (file === '-') {
      io.stdout(text);
    } else {
      write(file, text, values.force === true);
      io.stderr(`Wrote ${escapeLine(file)} (context ${escapeLine(context)}). Give it to the agent alone:\n`);
      io.stderr(`  export KUBECONFIG=${escapeLine(resolve(file))}\n`);
    }
    warnOfNeighbours(flags.gateway, io, home);
  });
}

interface Content {
  readonly gateway: string;
  readonly agent: string;
  readonly context: string;
  readonly ca: string | undefined;
  readonly namespace?: string | undefined;
  readonly ttl?: string | undefined;
  readonly command?: string | undefined;
  readonly 'token-file'?: string | undefined;
  readonly 'oidc-ca'?: string | undefined;
  readonly 'sign-in'?: string | undefined;
  readonly 'client-certificate'?: string | undefined;
  readonly 'client-key'?: string | undefined;
  readonly 'offline-access'?: boolean | undefined;
}

function kubeconfig(content: Content, io: CommandIO): object {
  const { gateway, agent, context, ca, namespace } = content;
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: context,
        cluster: {
          server: gateway,
          ...(ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
        },
      },
    ],
    users: [{ name: context, user: user(content, io) }],
    contexts: [
      {
        name: context,
        context: { cluster: context, user: context, ...(namespace === undefined ? {} : { namespace }) },
      },
    ],
    'current-context': context,
    extensions: [{ name: 'sallyport.dev/agent', extension: { agent } }],
  };
}

function user(content: Content, io: CommandIO): object {
  const { 'token-file': tokenFile } = content;
  // A CI job's own token is short-lived and re-read by kubectl; it names the agent by its issuer's configuration.
  if (tokenFile !== undefined) return { tokenFile: resolve(tokenFile) };
  const files = (['oidc-ca', 'client-certificate', 'client-key'] as const).flatMap((name) => {
    const file = content[name];
    return file === undefined ? [] : [`--${name}`, resolve(file)];
  });
  return {
    exec: {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: content.command ?? program(io),
      args: [
        'credential',
        '--gateway',
        content.gateway,
        '--agent',
        content.agent,
        ...(content.ttl === undefined ? [] : ['--ttl', content.ttl]),
        ...(content['sign-in'] === undefined ? [] : ['--sign-in', content['sign-in']]),
        ...(content['offline-access'] === true ? ['--offline-access'] : []),
        ...files,
      ],
      interactiveMode: 'IfAvailable',
      // The plugin then knows for which server it is asked, and refuses any other than its gateway.
      provideClusterInfo: true,
      installHint:
        'This cluster is reached through Sallyport: install its command line (npm) so that "sallyport" is found.',
    },
  };
}

/** `sallyport` where it is on the PATH, else this very program. */
function program(io: CommandIO): string {
  const found = (io.env['PATH'] ?? '')
    .split(delimiter)
    .some((folder) => folder !== '' && existsSync(join(folder, 'sallyport')));
  return found ? 'sallyport' : resolve(import.meta.dirname, '../../bin/sallyport');
}

/** A typing error shows now, not at the agent's first command; a gateway that is away stops nothing. */
async function checkAgent(flags: Parameters<typeof connect>[0], agent: string, io: CommandIO): Promise<void> {
  const gateway = await connect(flags);
  try {
    const { agents } = await gateway.configuration();
    if (flags.tokenFile === undefined && !agents.some(({ name }) => name === agent)) {
      const names = agents.map(({ name }) => name).join(', ') || 'none';
      throw new UnknownAgent(`the gateway gives no sessions for "${agent}" (it knows: ${names})`);
    }
  } catch (error) {
    if (error instanceof UnknownAgent) throw error;
    io.stderr(`Warning: ${escapeLine((error as Error).message)}; the agent's name was not checked\n`);
  } finally {
    await gateway.close();
  }
}

class UnknownAgent extends CommandError {}

function write(file: string, text: string, force: boolean): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    if (existsSync(file) && !force && !readFileSync(file, 'utf8').startsWith(MARK)) {
      throw new CommandError(
        `${file} is there and was not written by this command: choose another --output, or --force`,
      );
    }
    mkdirSync(dirname(resolve(file)), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' });
    chmodSync(temporary, 0o600);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    if (error instanceof CommandError) throw error;
    throw new CommandError(`${file}: ${(error as NodeJS.ErrnoException).code ?? 'cannot be written'}`);
  }
}

function warnOfNeighbours(gateway: string, io: CommandIO, home: string): void {
  const neighbours = findNeighbours(kubeconfigFiles(io.env), gateway);
  if (neighbours.length > 0) {
    io.stderr('\nWarning: credentials that go around the gate lie where the agent can read them:\n');
    for (const { file, context, server } of neighbours.slice(0, 10)) {
      io.stderr(`  ${escapeLine(file)}: context ${escapeLine(context)} (${escapeLine(server)})\n`);
    }
    if (neighbours.length > 10) io.stderr(`  and ${neighbours.length - 10} more\n`);
    io.stderr('Run the agent as another user, or in a container that does not see these files.\n');
  }
  const account = '/var/run/secrets/kubernetes.io/serviceaccount/token';
  if (home !== '' && existsSync(account)) {
    io.stderr(`Warning: this Pod's own ServiceAccount token (${account}) goes around the gate as well\n`);
  }
}
