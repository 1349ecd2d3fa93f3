import { Administrator } from '../kubernetes/administrator.ts';
import { CommandError, type CommandIO } from './command-io.ts';

/** Options of the commands that an administrator runs with their own kubeconfig, straight at the API server. */
export const ADMINISTRATOR_OPTIONS = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string' },
} as const;

export const ADMINISTRATOR_USAGE = `  --kubeconfig FILE, --context NAME
                                  the administrator's own (default: as kubectl)
  --namespace NAME                the gateway's (SALLYPORT_NAMESPACE, else sallyport-system)
`;

type Values = { readonly [Name in keyof typeof ADMINISTRATOR_OPTIONS]?: string | undefined };

/** @throws CommandError */
export function administrator(values: Values, io: CommandIO): Administrator {
  try {
    return new Administrator({
      kubeconfig: values.kubeconfig,
      context: values.context,
      namespace: values.namespace ?? (io.env['SALLYPORT_NAMESPACE'] || 'sallyport-system'),
    });
  } catch (error) {
    throw new CommandError((error as Error).message);
  }
}
