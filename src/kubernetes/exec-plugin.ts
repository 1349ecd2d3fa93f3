import { spawn } from 'node:child_process';
import { resolve, sep } from 'node:path';

type Fields = Readonly<Record<string, unknown>>;

/** What a credential plugin gave (client.authentication.k8s.io ExecCredential). */
export interface PluginCredential {
  readonly token?: string;
  readonly certificate?: { readonly cert: string; readonly key: string };
}

export interface PluginCluster {
  readonly server: string;
  readonly caData: string | undefined;
  readonly tlsServerName: string | undefined;
}

const MAX_OUTPUT = 1 << 20;

/**
 * Runs the credential plugin that a kubeconfig names, as kubectl does: what it says goes to the person's terminal, and it
 * may ask there, unless it says that it never does.
 * @param folder of the kubeconfig: a command with a separator in it is relative to that
 * @throws Error that names the command; never what it printed, which may be a credential
 */
export async function runExecPlugin(exec: Fields, cluster: PluginCluster, folder: string): Promise<PluginCredential> {
  const { command, args, env, apiVersion, interactiveMode, provideClusterInfo, installHint } = exec;
  if (typeof command !== 'string' || command === '')
    throw new Error('the kubeconfig names a credential plugin without a command');
  const isInteractive = process.stdin.isTTY === true && interactiveMode !== 'Never';
  if (interactiveMode === 'Always' && !isInteractive)
    throw new Error(`${command} has to ask you something: run this on a terminal`);
  const info = {
    kind: 'ExecCredential',
    apiVersion,
    spec: {
      interactive: isInteractive,
      ...(provideClusterInfo === true
        ? {
            cluster: {
              server: cluster.server,
              ...(cluster.caData === undefined ? {} : { 'certificate-authority-data': cluster.caData }),
              ...(cluster.tlsServerName === undefined ? {} : { 'tls-server-name': cluster.tlsServerName }),
            },
          }
        : {}),
    },
  };
  const program = command.includes(sep) ? resolve(folder, command) : command;
  const child = spawn(program, Array.isArray(args) ? args.map(String) : [], {
    env: { ...process.env, ...namesAndValues(env), KUBERNETES_EXEC_INFO: JSON.stringify(info) },
    stdio: [isInteractive ? 'inherit' : 'ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout!.setEncoding('utf8').on('data', (part: string) => {
    printed += part;
    if (printed.length > MAX_OUTPUT) child.kill();
  });
  const code = await new Promise<number | null>((done, fail) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      const hint = typeof installHint === 'string' && error.code === 'ENOENT' ? `; ${installHint}` : '';
      fail(new Error(`the credential plugin ${command} cannot be run (${error.code})${hint}`));
    });
    child.once('close', done);
  });
  if (code !== 0) throw new Error(`the credential plugin ${command} ended with ${code}`);
  return read(printed, command);
}

function read(printed: string, command: string): PluginCredential {
  let status: Fields | undefined;
  try {
    status = (JSON.parse(printed) as { status?: Fields }).status;
  } catch {
    // The parser's message quotes what was printed.
  }
  const { token, clientCertificateData: cert, clientKeyData: key } = status ?? {};
  const certificate = typeof cert === 'string' && typeof key === 'string' ? { cert, key } : undefined;
  if (typeof token !== 'string' && certificate === undefined)
    throw new Error(`the credential plugin ${command} gave no credential`);
  return { ...(typeof token === 'string' ? { token } : {}), ...(certificate === undefined ? {} : { certificate }) };
}

function namesAndValues(env: unknown): Record<string, string> {
  if (!Array.isArray(env)) return {};
  const pairs = env as { name?: unknown; value?: unknown }[];
  return Object.fromEntries(pairs.map(({ name, value }) => [String(name), String(value ?? '')]));
}
