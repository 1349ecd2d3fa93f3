import { StringDecoder } from 'node:string_decoder';
import { escapeLine } from '../../errors.ts';

/** Longer than any sequence that is let through; what is longer was not meant for a terminal. */
const LONGEST = 64;
/** Final bytes of CSI sequences that only move, colour and clear within the screen (ECMA-48, xterm). */
const FINALS = new Set('ABCDEFGHJKLMPSTXZ@`adefgmrsu');
/** Private modes that change how the screen looks, and nothing of what the terminal sends or keeps. */
const MODES = new Set(['1', '3', '7', '12', '25', '47', '1047', '1048', '1049', '2026']);
/** Two-character sequences: save and restore the cursor, index, next line, tab stop, keypad modes. */
const SHORT = new Set(['7', '8', 'D', 'E', 'H', 'M', '=', '>']);

type State = 'text' | 'escape' | 'csi' | 'charset' | 'string' | 'string-escape';

/**
 * Terminal output of a stranger, for a terminal of ours: text passes, and of the sequences those on a list. What is not on it, such
 * as titles, links, the clipboard, questions that the terminal would answer as if typed, and colours that hide, is left out and
 * counted. Works across pieces.
 */
export class TerminalFilter {
  /** Sequences that were left out. */
  dropped = 0;
  readonly #decoder = new StringDecoder('utf8');
  #state: State = 'text';
  #sequence = '';

  write(bytes: Buffer): string {
    return this.#filter(this.#decoder.write(bytes));
  }

  end(): string {
    const rest = this.#filter(this.#decoder.end());
    if (this.#state !== 'text') this.dropped += 1;
    this.#state = 'text';
    return rest;
  }

  #filter(text: string): string {
    let out = '';
    for (let at = 0; at < text.length; ) {
      if (this.#state === 'text') {
        const next = text.indexOf('\u001b', at);
        const end = next === -1 ? text.length : next;
        // A bell, 8-bit controls (which begin sequences too), what is invisible or reorders: shown, not obeyed.
        for (const piece of text.slice(at, end).split(/([\n\r\t\b]+)/)) {
          out += /^[\n\r\t\b]/.test(piece) ? piece : escapeLine(piece);
        }
        if (next === -1) break;
        this.#state = 'escape';
        at = next + 1;
      } else {
        const character = String.fromCodePoint(text.codePointAt(at)!);
        out += this.#take(character);
        at += character.length;
      }
    }
    return out;
  }

  #take(character: string): string {
    switch (this.#state) {
      case 'escape':
        return this.#escape(character);
      case 'csi':
        return this.#csi(character);
      case 'charset':
        this.#state = 'text';
        // ASCII and line drawing; others turn text into something else.
        return /[B0]/.test(character) ? `\u001b${this.#sequence}${character}` : this.#drop();
      default:
        return this.#string(character);
    }
  }

  #escape(character: string): string {
    this.#state = 'text';
    if (character === '[') {
      this.#state = 'csi';
      this.#sequence = '';
      return '';
    }
    if (character === '(' || character === ')') {
      this.#state = 'charset';
      this.#sequence = character;
      return '';
    }
    if (']PX^_k'.includes(character)) {
      this.#state = 'string';
      this.#sequence = '';
      return this.#drop();
    }
    return SHORT.has(character) ? `\u001b${character}` : this.#drop();
  }

  #csi(character: string): string {
    const code = character.charCodeAt(0);
    if (character.length === 1 && code >= 0x20 && code <= 0x3f && this.#sequence.length < LONGEST) {
      this.#sequence += character;
      return '';
    }
    this.#state = 'text';
    if (character.length !== 1 || code < 0x40 || code > 0x7e) return this.#drop();
    return allowed(this.#sequence, character) ?? this.#drop();
  }

  /** Inside OSC, DCS, SOS, PM, APC: until a bell or ST; a line end closes it too, so that nothing swallows the rest. */
  #string(character: string): string {
    if (this.#state === 'string-escape') {
      this.#state = 'text';
      return character === '\\' ? '' : this.#escape(character);
    }
    this.#sequence += character;
    if (character === '\u001b') this.#state = 'string-escape';
    else if (character === '\u0007' || character === '\u009c') this.#state = 'text';
    else if (character === '\n' || this.#sequence.length > 8_192) {
      this.#state = 'text';
      return character === '\n' ? '\n' : '';
    }
    return '';
  }

  #drop(): string {
    this.dropped += 1;
    return '';
  }
}

function allowed(parameters: string, final: string): string | undefined {
  if (final === 'h' || final === 'l') {
    if (!parameters.startsWith('?')) return parameters === '4' ? `\u001b[4${final}` : undefined;
    const modes = parameters.slice(1).split(';');
    return modes.every((mode) => MODES.has(mode)) ? `\u001b[${parameters}${final}` : undefined;
  }
  if (!FINALS.has(final) || !/^[0-9;:]*$/.test(parameters)) return undefined;
  if (final !== 'm') return parameters.includes(':') ? undefined : `\u001b[${parameters}${final}`;
  return colours(parameters);
}

/** Colours and weights but "concealed": what is there is seen. */
function colours(parameters: string): string {
  const kept: string[] = [];
  const given = parameters.split(';');
  for (let index = 0; index < given.length; index += 1) {
    const one = given[index]!;
    if (one === '38' || one === '48' || one === '58') {
      // An extended colour takes the numbers behind it: 5;N or 2;R;G;B.
      const length = given[index + 1] === '5' ? 3 : given[index + 1] === '2' ? 5 : 1;
      kept.push(...given.slice(index, index + length));
      index += length - 1;
    } else if (Number(one) !== 8 || one === '') kept.push(one);
  }
  return kept.length === 0 ? '' : `\u001b[${kept.join(';')}m`;
}
