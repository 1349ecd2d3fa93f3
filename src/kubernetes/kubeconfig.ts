import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { assemble, type Connection, serverURL } from './connection.ts';
import {
  caFile,
  certificateFile,
  checkCertificates,
  checkKey,
  checkToken,
  fixed,
  keyFile,
  type Source,
  tokenFile,
} from './credential.ts';

type Fields = Readonly<Record<string, unknown>>;
type OnError = (error: unknown) => void;

/**
 * Reads the gateway's own connection from a kubeconfig: CA, and a client certificate, a token or a token file. What
 * would run a program (`exec`), weaken TLS or act as someone else is refused, not ignored. Files are relative to the
 * kubeconfig, as for kubectl.
 * @throws Error naming the file and the field; never with a value in it.
 */
export function readKubeconfig(path: string, context: string | undefined, onError: OnError): Connection {
  const folder = dirname(resolve(path));
  const document = load(path);
  const contextName = context ?? text(document, 'current-context', path);
  if (contextName === undefined) throw new Error(`${path}: no current-context; set upstream.context`);
  const chosen = entry(document, 'contexts', 'context', contextName, path);
  const where = `${path}, context ${contextName}`;
  const clusterName = text(chosen, 'cluster', where);
  const userName = text(chosen, 'user', where);
  if (clusterName === undefined || userName === undefined) throw new Error(`${where}: names no cluster or no user`);
  const cluster = entry(document, 'clusters', 'cluster', clusterName, path);
  const user = entry(document, 'users', 'user', userName, path);
  const clusterWhere = `${path}, cluster ${clusterName}`;
  const userWhere = `${path}, user ${userName}`;

  if (cluster['insecure-skip-tls-verify'] === true) {
    throw new Error(`${clusterWhere}: insecure-skip-tls-verify is refused; give certificate-authority`);
  }
  refuse(cluster, ['proxy-url'], clusterWhere, 'is not supported');
  refuse(
    user,
    ['exec', 'auth-provider'],
    userWhere,
    'would run a program: use a client certificate, token or tokenFile',
  );
  refuse(user, ['username', 'password'], userWhere, 'is no longer a Kubernetes credential');
  refuse(
    user,
    ['as', 'as-uid', 'as-groups', 'as-user-extra'],
    userWhere,
    "is refused: the gateway's account is its own",
  );

  const server = text(cluster, 'server', clusterWhere);
  if (server === undefined) throw new Error(`${clusterWhere}: no server`);
  const token = tokenOf(user, folder, userWhere, onError);
  const certificate = certificateOf(user, folder, userWhere, onError);
  if (token === undefined && certificate === undefined) {
    throw new Error(`${userWhere}: no credential (client-certificate, token or tokenFile)`);
  }
  return assemble({
    server: serverURL(server, `${clusterWhere}, server`),
    serverName: text(cluster, 'tls-server-name', clusterWhere),
    ca: material(cluster, 'certificate-authority', folder, clusterWhere, checkCertificates, (file) =>
      caFile(file, onError),
    ),
    token,
    certificate,
    description: `kubeconfig ${where}`,
  });
}

function load(path: string): Fields {
  const content = readFileSync(path, 'utf8');
  if (content.length > 4 << 20) throw new Error(`${path}: over 4 MiB`);
  let document: unknown;
  try {
    document = parse(content, { maxAliasCount: 0 });
  } catch {
    // The parser's message quotes the line, which may be a credential.
    throw new Error(`${path}: not YAML`);
  }
  if (!isFields(document) || document['kind'] !== 'Config') throw new Error(`${path}: not a kubeconfig (kind: Config)`);
  return document;
}

/** kubectl takes the first of several entries with the same name; so does this. */
function entry(document: Fields, list: string, field: string, name: string, path: string): Fields {
  const entries = document[list];
  if (Array.isArray(entries)) {
    for (const candidate of entries) {
      if (!isFields(candidate) || candidate['name'] !== name) continue;
      const value = candidate[field];
      if (isFields(value)) return value;
    }
  }
  throw new Error(`${path}: no entry "${name}" in ${list}`);
}

function tokenOf(user: Fields, folder: string, where: string, onError: OnError): Source | undefined {
  // A token file goes before a token, as in client-go.
  const file = text(user, 'tokenFile', where);
  if (file !== undefined) return tokenFile(resolve(folder, file), onError);
  const token = text(user, 'token', where);
  if (token === undefined) return undefined;
  checkToken(token, `${where}, token`);
  return fixed(token);
}

function certificateOf(user: Fields, folder: string, where: string, onError: OnError) {
  const cert = material(user, 'client-certificate', folder, where, checkCertificates, (file) =>
    certificateFile(file, onError),
  );
  const key = material(user, 'client-key', folder, where, checkKey, (file) => keyFile(file, onError));
  if ((cert === undefined) !== (key === undefined))
    throw new Error(`${where}: a client certificate without its key, or a key alone`);
  return cert === undefined || key === undefined ? undefined : { cert, key };
}

/** `<field>-data` (base64) goes before the file in `<field>`, as in client-go. */
function material(
  fields: Fields,
  field: string,
  folder: string,
  where: string,
  check: (pem: string, what: string) => void,
  open: (file: string) => Source,
): Source | undefined {
  const data = text(fields, `${field}-data`, where);
  if (data !== undefined) {
    const pem = Buffer.from(data, 'base64').toString('utf8');
    check(pem, `${where}, ${field}-data`);
    return fixed(pem);
  }
  const file = text(fields, field, where);
  return file === undefined ? undefined : open(resolve(folder, file));
}

function refuse(fields: Fields, names: readonly string[], where: string, why: string): void {
  for (const name of names) {
    if (fields[name] !== undefined && fields[name] !== null) throw new Error(`${where}: ${name} ${why}`);
  }
}

function text(fields: Fields, field: string, where: string): string | undefined {
  const value = fields[field];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw new Error(`${where}: ${field} is not a string`);
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
