import type { PublicConfiguration } from '../identity/session-endpoint.ts';
import type { Storage } from '../recording/storage/storage.ts';
import { StorageError } from '../recording/storage/storage.ts';
import { contentOf } from '../recording/stored-recording.ts';
import { CommandError, type CommandIO, usageError } from './command-io.ts';
import { connect, personToken, readSignInFlags, SIGN_IN_OPTIONS, SIGN_IN_USAGE } from './credential-command.ts';
import { GatewayStorage } from './gateway-storage.ts';
import { openLocator } from './open-locator.ts';

export const STORE_OPTIONS = { store: { type: 'string' }, ...SIGN_IN_OPTIONS } as const;

export const STORE_USAGE = `  --store STORE    a folder, file:///folder, or s3://bucket/prefix/?region=…&endpoint=…&pathStyle=true&caFile=…
                   (default: SALLYPORT_STORE). Keys come from where AWS' tools look; they are never in a locator.
  --gateway URL    or through a gateway, as the person who signs in, if RBAC lets them (default: SALLYPORT_GATEWAY)
${SIGN_IN_USAGE}`;

type StoreValues = { readonly [Name in keyof typeof STORE_OPTIONS]?: string | undefined };

/** Opens the store that was named, does the work, and closes it. What a store says is not the command's fault: one line, no stack. */
export async function withStore<T>(
  values: StoreValues,
  io: CommandIO,
  work: (storage: Storage) => Promise<T>,
): Promise<T> {
  const storage = await openStore(values, io);
  try {
    return await work(storage);
  } catch (error) {
    if (error instanceof StorageError) throw new CommandError(error.message);
    throw error;
  } finally {
    await storage.close();
  }
}

/** The store that was named, or a gateway's. @throws CommandError */
async function openStore(values: StoreValues, io: CommandIO): Promise<Storage> {
  if (values.store !== undefined && values.gateway !== undefined) throw usageError('--store or --gateway, not both');
  const locator = locatorOf(values, io);
  const gateway = values.store === undefined ? (values.gateway ?? io.env['SALLYPORT_GATEWAY']) : undefined;
  if (locator !== undefined) return await openLocator(locator, io);
  if (gateway !== undefined && gateway !== '') return await openGateway({ ...values, gateway }, io);
  throw usageError('which store? --store or --gateway, SALLYPORT_STORE or SALLYPORT_GATEWAY');
}

/** Where the store is, if it is read without a gateway. */
export function locatorOf(values: StoreValues, io: Pick<CommandIO, 'env'>): string | undefined {
  return values.gateway === undefined ? (values.store ?? (io.env['SALLYPORT_STORE'] || undefined)) : undefined;
}

async function openGateway(values: StoreValues, io: CommandIO): Promise<Storage> {
  const flags = readSignInFlags(values, io);
  const client = await connect(flags);
  try {
    const signsIn = flags.tokenFile === undefined && flags.clientCertificate === undefined;
    const configuration = signsIn ? await client.configuration() : NO_SIGN_IN;
    const { idToken } = await personToken(flags, configuration, false, io);
    return new GatewayStorage(flags.gateway, client, idToken);
  } catch (error) {
    await client.close();
    throw error;
  }
}

const NO_SIGN_IN: PublicConfiguration = { audience: '', signIn: [], agents: [], defaultTTLSeconds: 0 };

/** @throws CommandError where the store has no such recording */
export async function requireRecording(storage: Storage, name: string): Promise<void> {
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name))
    throw usageError(`${JSON.stringify(name)} is no name of a recording`);
  const { manifests, chains, segments } = await contentOf(storage, name);
  if (manifests.length > 0 || chains.size > 0 || segments) return;
  throw new CommandError(`there is no recording ${name} in ${storage.locator}`);
}

/** `2h`, `90m`, `7d` before now, or a time in RFC 3339, as Unix milliseconds. */
export function timeOption(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (amount !== undefined)
    return Date.now() - Number(amount) * { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as 's']!;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isFinite(time))
    throw usageError(`--${name} is a time (2026-01-31T12:00:00Z) or how long ago (90m, 2h, 7d)`);
  return time;
}
