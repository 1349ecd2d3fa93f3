import { SallyportError } from '../errors.ts';
import { decodeUtf8, isObject, type Json, JsonNumber, memberAt, parseJson, quoted, writeJson } from './json.ts';
import { isConnect, type Operation } from './operation.ts';
import { Query } from './query.ts';
import { goNumber, parseYaml } from './yaml.ts';

/** The API server's own limit on a request body. */
export const MAX_BODY_LENGTH = 3 * 1024 * 1024;

/**
 * What kind of body a request carries:
 * `object` (the whole object), `patch` (see `operation.patchType`), `options` (DeleteOptions), `opaque` (for a program
 * behind a proxy or a path that is no resource: bytes without a meaning here), `none` (the API server reads no body).
 */
export type BodyKind = 'object' | 'patch' | 'options' | 'opaque' | 'none';

/** How the bytes are written. Of protobuf and CBOR only the resulting object can be known, by a dry run. */
export type BodyEncoding = 'json' | 'protobuf' | 'cbor' | 'opaque' | 'empty';

/** A body as it is decided on and as it is forwarded: the same bytes. */
export interface Body {
  readonly kind: BodyKind;
  readonly encoding: BodyEncoding;
  /** To be forwarded in place of what came. */
  readonly bytes: Uint8Array;
  /** To be forwarded as Content-Type; undefined where the client's own stays (opaque). */
  readonly contentType: string | undefined;
  /** The exact JSON text that `bytes` holds; undefined unless `encoding` is `json`. */
  readonly json: string | undefined;
  /** The same as a tree with exact numbers. */
  readonly tree: Json | undefined;
}

/** How the bytes are written is `parseBody`'s to say: it needs the Content-Type too. */
export function describeBody(operation: Operation): BodyKind {
  if (operation.method === 'GET' || operation.method === 'HEAD') return 'none';
  if (!operation.isResource) return 'opaque';
  if (operation.exec !== undefined || operation.portForward !== undefined) return 'none';
  if (operation.proxyPath !== undefined || isConnect(operation)) return 'opaque';
  if (operation.patchType !== undefined) return 'patch';
  if (operation.method === 'DELETE') return 'options';
  return 'object';
}

const JSON_TYPE = 'application/json';
const APPLY_YAML = 'application/apply-patch+yaml';
const APPLY_CBOR = 'application/apply-patch+cbor';

/**
 * Reads a body for decision and forward.
 *
 * JSON stays as it came, byte for byte, once it has but one reading. YAML becomes JSON: parsers of YAML differ, and the
 * API server must not read another object than the policy did. Protobuf and CBOR are known by content type and must
 * begin with their magic.
 *
 * @param bytes the whole body, content codings removed
 * @throws SallyportError SP_BODY_TOO_LARGE, SP_BAD_REQUEST, SP_UNSUPPORTED_MEDIA_TYPE
 */
export function parseBody(operation: Operation, contentType: string | undefined, bytes: Uint8Array): Body {
  if (bytes.length > MAX_BODY_LENGTH) {
    throw new SallyportError('SP_BODY_TOO_LARGE', `the body is over ${MAX_BODY_LENGTH} bytes`);
  }
  const kind = describeBody(operation);
  if (bytes.length === 0) {
    if (kind === 'object' || kind === 'patch') throw new SallyportError('SP_BAD_REQUEST', 'the body is empty');
    return { kind, encoding: 'empty', bytes, contentType: undefined, json: undefined, tree: undefined };
  }
  if (kind === 'none') throw new SallyportError('SP_BAD_REQUEST', 'this request takes no body');
  if (kind === 'opaque')
    return { kind, encoding: 'opaque', bytes, contentType: undefined, json: undefined, tree: undefined };
  const type = mediaType(operation.patchType ?? contentType);
  switch (type) {
    case JSON_TYPE:
    case 'application/json-patch+json':
    case 'application/merge-patch+json':
    case 'application/strategic-merge-patch+json': {
      const json = decodeUtf8(bytes);
      const tree = parseJson(json);
      checkRoot(tree, type === 'application/json-patch+json');
      return { kind, encoding: 'json', bytes, contentType: type, json, tree };
    }
    case 'application/yaml':
    case APPLY_YAML: {
      const tree = readYaml(decodeUtf8(bytes));
      checkRoot(tree, false);
      const json = writeJson(tree);
      const written = Buffer.from(json);
      return {
        kind,
        encoding: 'json',
        bytes: written,
        contentType: type === APPLY_YAML ? type : JSON_TYPE,
        json,
        tree,
      };
    }
    case 'application/vnd.kubernetes.protobuf':
      if (!startsWith(bytes, PROTOBUF_MAGIC))
        throw new SallyportError('SP_BAD_REQUEST', 'the body is not Kubernetes protobuf');
      return { kind, encoding: 'protobuf', bytes, contentType: type, json: undefined, tree: undefined };
    case 'application/cbor':
    case APPLY_CBOR:
      if (!startsWith(bytes, CBOR_MAGIC))
        throw new SallyportError('SP_BAD_REQUEST', 'the body is not self-described CBOR');
      return { kind, encoding: 'cbor', bytes, contentType: type, json: undefined, tree: undefined };
    default:
      throw new SallyportError('SP_UNSUPPORTED_MEDIA_TYPE', 'the body must be JSON, YAML, Kubernetes protobuf or CBOR');
  }
}

/** `k8s\0`, and CBOR's self-described tag 55799 (RFC 8949 §3.4.6). */
const PROTOBUF_MAGIC = [0x6b, 0x38, 0x73, 0x00];
const CBOR_MAGIC = [0xd9, 0xd9, 0xf7];

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}

/** Type and subtype as Go's mime.ParseMediaType gives them; no header means JSON to the API server. */
function mediaType(contentType: string | undefined): string {
  if (contentType === undefined || contentType === '') return JSON_TYPE;
  const semicolon = contentType.indexOf(';');
  return (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
}

/**
 * kubectl's server-side apply sends JSON under the YAML content type: read as JSON, which is fast, and written again so
 * that a YAML reader sees the same (numbers as Go's YAML takes them, no merge keys, line breaks escaped).
 */
function readYaml(text: string): Json {
  if (!/^\s*\{/.test(text)) return parseYaml(text);
  let tree: Json;
  try {
    tree = parseJson(text);
  } catch (error) {
    // A flow mapping is YAML without being JSON. What is too large for YAML keeps JSON's own complaint.
    if (text.length > 4096) throw error;
    return parseYaml(text);
  }
  return asYamlReads(tree);
}

function asYamlReads(value: Json): Json {
  if (value instanceof JsonNumber) return goNumber(value.text) ?? value;
  if (Array.isArray(value)) return value.map(asYamlReads);
  if (!isObject(value)) return value;
  for (const [name, member] of value) {
    if (name === '<<')
      throw new SallyportError('SP_BAD_REQUEST', 'a body under a YAML content type holds the merge key "<<"');
    value.set(name, asYamlReads(member));
  }
  return value;
}

function checkRoot(tree: Json, array: boolean): void {
  if (array ? !Array.isArray(tree) : !isObject(tree)) {
    throw new SallyportError('SP_BAD_REQUEST', `the body must be a JSON ${array ? 'array' : 'object'}`);
  }
}

/** What of DeleteOptions takes part in decisions. */
export interface DeleteOptions {
  readonly dryRun: boolean;
  readonly preconditions: { readonly uid: string | undefined; readonly resourceVersion: string | undefined };
}

/**
 * The DeleteOptions that the API server will use: the body's where there is a body, however little it says, and the
 * query's only where there is none. So `DELETE …?dryRun=All` with the body `{}` deletes.
 *
 * @param body undefined or empty when the request has none. Options in protobuf or CBOR are not read: they are taken
 *   for a real delete without preconditions.
 */
export function deleteOptions(operation: Operation, body: Body | undefined): DeleteOptions {
  if (body === undefined || body.encoding === 'empty') {
    const query = Query.parse(operation.query);
    return {
      dryRun: query.get('dryRun') === 'All',
      preconditions: { uid: query.get('uid') || undefined, resourceVersion: query.get('resourceVersion') || undefined },
    };
  }
  const { tree } = body;
  const dryRun = memberAt(tree, 'dryRun') ?? null;
  const values = Array.isArray(dryRun) ? dryRun : [];
  if ((dryRun !== null && !Array.isArray(dryRun)) || values.some((value) => value !== 'All')) {
    throw new SallyportError('SP_BAD_REQUEST', 'dryRun in DeleteOptions must be a list of "All"');
  }
  return {
    dryRun: values.length > 0,
    preconditions: { uid: textAt(tree, 'uid'), resourceVersion: textAt(tree, 'resourceVersion') },
  };
}

function textAt(tree: Json | undefined, name: string): string | undefined {
  const value = memberAt(tree, 'preconditions', name) ?? null;
  if (value === null) return undefined;
  if (typeof value === 'string') return value;
  throw new SallyportError('SP_BAD_REQUEST', `preconditions.${quoted(name)} in DeleteOptions must be a string`);
}

/** The operation of a delete, once its body is known: `dryRun` is what the API server will make of both. */
export function withDeleteOptions(operation: Operation, body: Body | undefined): Operation {
  if (operation.method !== 'DELETE' || describeBody(operation) !== 'options') return operation;
  const { dryRun } = deleteOptions(operation, body);
  return dryRun === operation.dryRun ? operation : { ...operation, dryRun };
}
