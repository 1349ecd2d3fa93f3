import type { Operation } from '../request/operation.ts';
import { hideArguments } from './hidden-arguments.ts';
import { shellWord, shellWords } from './shell-words.ts';

/**
 * The request as one would type it, near enough for a person to know it again; undefined where kubectl has no such
 * command. What runs is decided by the digest, never by this.
 * @param objectName of what a POST creates: its path has none
 */
export function kubectlForm(operation: Operation, objectName = ''): string | undefined {
  if (!operation.isResource) {
    return operation.method === 'GET' ? `kubectl get --raw ${shellWord(operation.path)}` : undefined;
  }
  const where = operation.namespace === '' ? [] : ['-n', operation.namespace];
  const line = (...words: readonly string[]): string => shellWords(['kubectl', ...words]);
  const { verb, subresource, name, exec, portForward } = operation;
  const type = operation.apiGroup === '' ? operation.resource : `${operation.resource}.${operation.apiGroup}`;
  if (exec !== undefined) {
    const flags = [
      ...(exec.container === '' ? [] : ['-c', exec.container]),
      ...(exec.stdin ? ['-i'] : []),
      ...(exec.tty ? ['-t'] : []),
    ];
    if (subresource === 'attach') return line('attach', ...where, name, ...flags);
    return line('exec', ...where, name, ...flags, '--', ...hideArguments(exec.command));
  }
  if (portForward !== undefined) {
    const ports =
      portForward.ports.length === 0 ? '(ports are not known yet)' : shellWords(portForward.ports.map(String));
    return `${line('port-forward', ...where, `pod/${name}`)} ${ports}`;
  }
  if (subresource === 'log') return line('logs', ...where, name);
  const sub = subresource === '' ? [] : [`--subresource=${subresource}`];
  const dryRun = operation.dryRun ? ['--dry-run=server'] : [];
  switch (verb) {
    case 'get':
    case 'list':
    case 'watch': {
      const all = operation.namespace === '' && name === '' ? ['-A'] : [];
      const one = name === '' ? [] : [name];
      return line('get', type, ...where, ...all, ...one, ...sub, ...(verb === 'watch' ? ['--watch'] : []));
    }
    case 'create':
      if (subresource !== '') return undefined;
      // A review names what is created in the operation itself.
      return line('create', ...where, ...dryRun, '-f', [type, name || objectName].filter(Boolean).join('/'));
    case 'update':
      return line('replace', ...where, ...sub, ...dryRun, '-f', `${type}/${name}`);
    case 'patch': {
      if (operation.patchType === 'application/apply-patch+yaml') {
        return line('apply', '--server-side', ...where, ...sub, ...dryRun, '-f', `${type}/${name}`);
      }
      return line('patch', type, name, ...where, ...sub, ...dryRun);
    }
    case 'delete':
      return line('delete', type, name, ...where, ...dryRun);
    case 'deletecollection':
      return line('delete', type, '--all', ...where, ...dryRun);
    default:
      return undefined;
  }
}
