import type { Budget } from '../budget.ts';
import { type Cost, declare, type FunctionDeclaration, method, onceForLiteral, overload } from '../declarations.ts';
import { nominal, readOnce, sizeOf, textCost } from '../sizes.ts';
import { BOOL, INT, opaque, STRING } from '../types.ts';
import { Boxed, type CelValue, type Fault, fault } from '../values.ts';
import { CelIP, IP, parseIP } from './ip.ts';

export const CIDR = opaque('net.CIDR');

/** An address with the length of its network prefix; the address may have bits beyond it. */
export class CelCIDR extends Boxed {
  readonly celUnit = true;
  readonly address: CelIP;
  readonly prefixLength: number;
  constructor(address: CelIP, prefixLength: number) {
    super();
    this.address = address;
    this.prefixLength = prefixLength;
  }
  get typeName(): string {
    return 'net.CIDR';
  }
  get celSize(): number {
    return Math.ceil(this.prefixLength / 8);
  }
  equals(other: CelValue): boolean {
    return other instanceof CelCIDR && other.prefixLength === this.prefixLength && other.address.equals(this.address);
  }
  masked(): CelCIDR {
    const bytes = this.address.bytes.map((byte, i) => {
      const bits = Math.min(Math.max(this.prefixLength - 8 * i, 0), 8);
      return byte & (0xff << (8 - bits));
    });
    return new CelCIDR(new CelIP(bytes), this.prefixLength);
  }
  containsIP(ip: CelIP): boolean {
    if (ip.bytes.length !== this.address.bytes.length) return false;
    return new CelCIDR(ip, this.prefixLength).masked().equals(this.masked());
  }
  containsCIDR(other: CelCIDR): boolean {
    return this.prefixLength <= other.prefixLength && this.containsIP(other.address);
  }
  override toString(): string {
    return `${this.address}/${this.prefixLength}`;
  }
}

function parseCIDR(text: string): CelCIDR | Fault {
  const failure = fault('network address parse error during conversion from string');
  const slash = text.lastIndexOf('/');
  const bits = text.slice(slash + 1);
  if (slash === -1 || !/^(?:0|[1-9][0-9]{0,2})$/.test(bits)) return failure;
  const address = parseIP(text.slice(0, slash));
  if (!(address instanceof CelIP)) return address;
  return Number(bits) > address.bytes.length * 8 ? failure : new CelCIDR(address, Number(bits));
}

const read = (_: Budget, text: string): CelCIDR | Fault => parseCIDR(text);

const compareIP: Cost = (_result, cidr) => textCost(2 * sizeOf(cidr!));
const parseAndCompareIP: Cost = (_result, cidr, text) => textCost(2 * sizeOf(cidr!)) + textCost(sizeOf(text!));
const compareCIDR: Cost = (_result, cidr) => textCost(2 * sizeOf(cidr!)) + textCost(sizeOf(cidr!)) + 1;
const parseAndCompareCIDR: Cost = (_result, cidr, text) =>
  textCost(2 * sizeOf(cidr!)) + textCost(sizeOf(cidr!)) + 1 + textCost(sizeOf(text!));

/** Kubernetes' CIDR library. */
export const cidr: readonly FunctionDeclaration[] = [
  declare('cidr', [overload('string_to_cidr', [STRING], CIDR, read, { prepare: onceForLiteral(read) })], {
    cost: readOnce,
  }),
  declare(
    'isCIDR',
    [overload('is_cidr', [STRING], BOOL, (_: Budget, text: string) => parseCIDR(text) instanceof CelCIDR)],
    {
      cost: readOnce,
    },
  ),
  declare(
    'containsIP',
    [
      method(
        'cidr_contains_ip_string',
        [CIDR, STRING],
        BOOL,
        (_: Budget, range: CelCIDR, text: string) => {
          const parsed = parseIP(text);
          return parsed instanceof CelIP ? range.containsIP(parsed) : parsed;
        },
        { cost: parseAndCompareIP },
      ),
      method('cidr_contains_ip_ip', [CIDR, IP], BOOL, (_: Budget, range: CelCIDR, ip: CelIP) => range.containsIP(ip)),
    ],
    { cost: compareIP },
  ),
  declare(
    'containsCIDR',
    [
      method(
        'cidr_contains_cidr_string',
        [CIDR, STRING],
        BOOL,
        (_: Budget, range: CelCIDR, text: string) => {
          const parsed = parseCIDR(text);
          return parsed instanceof CelCIDR ? range.containsCIDR(parsed) : parsed;
        },
        { cost: parseAndCompareCIDR },
      ),
      method('cidr_contains_cidr', [CIDR, CIDR], BOOL, (_: Budget, range: CelCIDR, other: CelCIDR) =>
        range.containsCIDR(other),
      ),
    ],
    { cost: compareCIDR },
  ),
  declare('ip', [method('cidr_ip', [CIDR], IP, (_: Budget, range: CelCIDR) => range.address, { cost: nominal })], {
    cost: readOnce,
  }),
  declare('prefixLength', [method('cidr_prefix_length', [CIDR], INT, (_: Budget, r: CelCIDR) => r.prefixLength)], {
    cost: nominal,
  }),
  declare('masked', [method('cidr_masked', [CIDR], CIDR, (_: Budget, range: CelCIDR) => range.masked())], {
    cost: nominal,
  }),
  declare('string', [overload('cidr_to_string', [CIDR], STRING, (_: Budget, range: CelCIDR) => range.toString())]),
];
