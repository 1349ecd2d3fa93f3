const HEX = /^[0-9a-fA-F]{4}$/;

/**
 * The content of a JSON string (between its quotes) as UTF-8, one character a byte. A lone surrogate becomes its three bytes
 * of generalised UTF-8, so that it comes out as it went in.
 * @throws SyntaxError for an escape that JSON does not know
 */
export function readJsonString(raw: string): string {
  return raw.includes('\\') ? raw.replace(/(?:\\u[0-9a-fA-F]{4})+|\\.?/gs, unescaped) : raw;
}

function unescaped(sequence: string): string {
  if (sequence[1] === 'u') {
    let units = '';
    for (let i = 0; i < sequence.length; i += 6) {
      const hex = sequence.slice(i + 2, i + 6);
      if (!HEX.test(hex)) throw new SyntaxError('not a JSON escape');
      units += String.fromCharCode(Number.parseInt(hex, 16));
    }
    let out = '';
    for (const char of units) out += utf8(char.codePointAt(0)!);
    return out;
  }
  const index = '"\\/bfnrt'.indexOf(sequence[1] ?? ' ');
  if (index === -1) throw new SyntaxError('not a JSON escape');
  return '"\\/\b\f\n\r\t'[index]!;
}

function utf8(point: number): string {
  if (point < 0x80) return String.fromCharCode(point);
  if (point < 0x800) return String.fromCharCode(0xc0 | (point >> 6), 0x80 | (point & 63));
  if (point < 0x10000) {
    return String.fromCharCode(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
  }
  const high = String.fromCharCode(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63));
  return high + String.fromCharCode(0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
}

/** The reverse, with the quotes. */
export function writeJsonString(text: string): string {
  const escaped = text.replace(/["\\\0-\x1f]|\xed[\xa0-\xbf][\x80-\xbf]/g, (found) => {
    if (found.length === 1) return JSON.stringify(found).slice(1, -1);
    const unit = ((found.charCodeAt(0) & 15) << 12) | ((found.charCodeAt(1) & 63) << 6) | (found.charCodeAt(2) & 63);
    return `\\u${unit.toString(16).padStart(4, '0')}`;
  });
  return `"${escaped}"`;
}
