import { parseDuration } from '../config/duration-text.ts';
import { locate } from '../kubernetes/locate.ts';
import { Transport } from '../kubernetes/transport.ts';
import { VERSION } from '../version.ts';
import { type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { checkRelease } from './release-check.ts';
import { endRelease, sweepRelease } from './release-end.ts';
import { applyKinds } from './release-kinds.ts';

const OPTIONS = {
  kubeconfig: { type: 'string' },
  namespace: { type: 'string' },
  timeout: { type: 'string' },
  ca: { type: 'string' },
  'server-name': { type: 'string' },
  webhook: { type: 'boolean' },
  certificate: { type: 'string' },
} as const;

const USAGE = `sallyport release kinds FOLDER | check | end | sweep

What the Helm chart runs in the cluster around an installation; by hand it is seldom needed.

  kinds FOLDER    apply the CustomResourceDefinitions in FOLDER (*.yaml) and wait until they are served
  check           wait until the gateway and, with --webhook, the webhook answer at their Services
  end             before a release goes: scale the controller to nothing and remove the webhooks' configurations
  sweep           after it: remove the Lease, session keys and the installation key; with --certificate the own authority

  --namespace NAME       the gateway's (sallyport-system)
  --timeout DURATION     how long it may take (4m)
  --ca FILE              check: authorities that the certificate is verified by, where the file is there
  --server-name NAME     check: the name that it has to have (the Service's)
  --certificate NAME     sweep: the Secret of the serving certificate
  --kubeconfig FILE      absent: the Pod's own ServiceAccount
`;

/** `sallyport release`: the hooks of the chart. */
export async function runRelease(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand({ name: 'release', usage: USAGE }, args, io, async () => {
    const { values, positionals } = readArguments(args, OPTIONS, 2);
    const [what, folder] = positionals;
    if ((what === 'kinds') !== (folder !== undefined)) throw usageError('only "kinds" takes a folder, and needs one');
    const timeout = parseDuration(values.timeout ?? '4m');
    if (timeout === undefined) throw usageError('--timeout is a duration such as 90s');
    const connection = locate({ kubeconfig: values.kubeconfig });
    const transport = new Transport(connection, { userAgent: `sallyport-release/${VERSION}`, timeout: 20_000 });
    const task = {
      transport,
      namespace: values.namespace ?? 'sallyport-system',
      until: Date.now() + timeout,
      say: (line: string) => io.stdout(`${line}\n`),
    };
    try {
      if (what === 'kinds') await applyKinds(task, folder!);
      else if (what === 'check')
        await checkRelease(task, {
          caFile: values.ca,
          serverName: values['server-name'],
          webhook: values.webhook === true,
        });
      else if (what === 'end') await endRelease(task);
      else if (what === 'sweep') await sweepRelease(task, values.certificate);
      else throw usageError('one of kinds, check, end, sweep');
    } finally {
      await transport.close();
    }
  });
}
