import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method, overload } from '../declarations.ts';
import { nominal, readOnce, readTwice } from '../sizes.ts';
import { BOOL, INT, opaque, STRING } from '../types.ts';
import { Boxed, type CelValue, compareBytes, type Fault, fault } from '../values.ts';

export const IP = opaque('net.IP');

/** An IPv4 (4 bytes) or IPv6 (16 bytes) address. */
export class CelIP extends Boxed {
  readonly celUnit = true;
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    super();
    this.bytes = bytes;
  }
  get typeName(): string {
    return 'net.IP';
  }
  get celSize(): number {
    return this.bytes.length;
  }
  get isIPv4(): boolean {
    return this.bytes.length === 4;
  }
  equals(other: CelValue): boolean {
    return (
      other instanceof CelIP && this.bytes.length === other.bytes.length && compareBytes(this.bytes, other.bytes) === 0
    );
  }
  /** Canonical: RFC 5952 for IPv6. */
  override toString(): string {
    if (this.isIPv4) return this.bytes.join('.');
    const groups = Array.from({ length: 8 }, (_, i) => (this.bytes[2 * i]! << 8) | this.bytes[2 * i + 1]!);
    let best = { start: -1, length: 1 };
    for (let start = 0; start < 8; start++) {
      let length = 0;
      while (start + length < 8 && groups[start + length] === 0) length++;
      if (length > best.length) best = { start, length };
      start += length;
    }
    const hex = groups.map((g) => g.toString(16));
    if (best.start === -1) return hex.join(':');
    return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
  }
}

function parseIPv4(text: string): number[] | undefined {
  const fields = text.split('.');
  // No leading zeros: some read them as octal, and an address must not mean two things.
  if (fields.length !== 4 || !fields.every((f) => /^(?:0|[1-9][0-9]{0,2})$/.test(f) && Number(f) <= 255))
    return undefined;
  return fields.map(Number);
}

function parseIPv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const parsed = halves.map((half, i) => {
    const bytes: number[] = [];
    const fields = half === '' ? [] : half.split(':');
    for (const [j, field] of fields.entries()) {
      const last = j === fields.length - 1 && i === halves.length - 1;
      const embedded = last && field.includes('.') ? parseIPv4(field) : undefined;
      if (embedded !== undefined) bytes.push(...embedded);
      else if (/^[0-9a-fA-F]{1,4}$/.test(field))
        bytes.push(Number.parseInt(field, 16) >> 8, Number.parseInt(field, 16) & 0xff);
      else return undefined;
    }
    return bytes;
  });
  const [head, tail] = parsed;
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 16 ? head : undefined;
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail];
}

/** Without zones and without IPv4-mapped IPv6, which would be two spellings of one address. */
export function parseIP(text: string): CelIP | Fault {
  const failure = fault(`IP Address ${JSON.stringify(text.slice(0, 64))} parse error during conversion from string`);
  if (text.length > 64) return failure;
  if (!text.includes(':')) {
    const bytes = parseIPv4(text);
    return bytes === undefined ? failure : new CelIP(Uint8Array.from(bytes));
  }
  if (text.includes('%')) return fault(`IP address ${JSON.stringify(text)} with zone value is not allowed`);
  const bytes = parseIPv6(text);
  if (bytes === undefined) return failure;
  if (bytes.slice(0, 10).every((b) => b === 0) && bytes[10] === 0xff && bytes[11] === 0xff) {
    return fault(`IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed`);
  }
  return new CelIP(Uint8Array.from(bytes));
}

const isUnspecified = ({ bytes }: CelIP): boolean => bytes.every((b) => b === 0);
const isLoopback = ({ bytes, isIPv4 }: CelIP): boolean =>
  isIPv4 ? bytes[0] === 127 : bytes.subarray(0, 15).every((b) => b === 0) && bytes[15] === 1;
const isMulticast = ({ bytes, isIPv4 }: CelIP): boolean => (isIPv4 ? (bytes[0]! & 0xf0) === 0xe0 : bytes[0] === 0xff);
const isLinkLocalMulticast = ({ bytes, isIPv4 }: CelIP): boolean =>
  isIPv4 ? bytes[0] === 224 && bytes[1] === 0 && bytes[2] === 0 : bytes[0] === 0xff && (bytes[1]! & 0x0f) === 0x02;
const isLinkLocalUnicast = ({ bytes, isIPv4 }: CelIP): boolean =>
  isIPv4 ? bytes[0] === 169 && bytes[1] === 254 : bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
const isBroadcast = ({ bytes, isIPv4 }: CelIP): boolean => isIPv4 && bytes.every((b) => b === 255);
const isGlobalUnicast = (ip: CelIP): boolean =>
  !isUnspecified(ip) && !isLoopback(ip) && !isMulticast(ip) && !isLinkLocalUnicast(ip) && !isBroadcast(ip);

const test = (name: string, id: string, holds: (ip: CelIP) => boolean): FunctionDeclaration =>
  declare(name, [method(id, [IP], BOOL, (_: Budget, ip: CelIP) => holds(ip))], { cost: nominal });

/** Kubernetes' IP library. */
export const ip: readonly FunctionDeclaration[] = [
  declare('ip', [
    overload('string_to_ip', [STRING], IP, (_: Budget, text: string) => parseIP(text), { cost: readOnce }),
  ]),
  declare('isIP', [overload('is_ip', [STRING], BOOL, (_: Budget, text: string) => parseIP(text) instanceof CelIP)], {
    cost: readOnce,
  }),
  declare(
    'ip.isCanonical',
    [
      overload('ip_is_canonical', [STRING], BOOL, (_: Budget, text: string) => {
        const parsed = parseIP(text);
        return parsed instanceof CelIP ? parsed.toString() === text : parsed;
      }),
    ],
    { cost: readTwice },
  ),
  declare('family', [method('ip_family', [IP], INT, (_: Budget, { isIPv4 }: CelIP) => (isIPv4 ? 4 : 6))], {
    cost: nominal,
  }),
  test('isUnspecified', 'ip_is_unspecified', isUnspecified),
  test('isLoopback', 'ip_is_loopback', isLoopback),
  test('isLinkLocalMulticast', 'ip_is_link_local_multicast', isLinkLocalMulticast),
  test('isLinkLocalUnicast', 'ip_is_link_local_unicast', isLinkLocalUnicast),
  test('isGlobalUnicast', 'ip_is_global_unicast', isGlobalUnicast),
  declare('string', [overload('ip_to_string', [IP], STRING, (_: Budget, address: CelIP) => address.toString())]),
];
