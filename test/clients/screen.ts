/**
 * What a terminal shows of what a program has written. Programs draw only what has changed, so their output alone does not hold the
 * words that a person reads. Knows as much of ECMA-48 as full-screen programs use to place text: moves, clearing, line feeds.
 */
export function screenOf(written: string, columns: number, rows: number): string {
  let lines = Array.from({ length: rows }, () => new Array<string>(columns).fill(' '));
  let [row, column] = [0, 0];
  const clear = (line: number, from: number, to: number): void => void lines[line]?.fill(' ', from, to);
  const move = (down: number, right: number): void => {
    row = Math.min(Math.max(row + down, 0), rows - 1);
    column = Math.min(Math.max(column + right, 0), columns - 1);
  };
  const act = (command: string, numbers: number[]): void => {
    const [first = 0, second = 0] = numbers;
    const count = Math.max(first, 1);
    if (command === 'H' || command === 'f') [row, column] = [Math.max(first, 1) - 1, Math.max(second, 1) - 1];
    else if (command === 'A') move(-count, 0);
    else if (command === 'B') move(count, 0);
    else if (command === 'C') move(0, count);
    else if (command === 'D') move(0, -count);
    else if (command === 'G') column = count - 1;
    else if (command === 'd') row = count - 1;
    else if (command === 'K') clear(row, first === 0 ? column : 0, first === 1 ? column + 1 : columns);
    else if (command === 'J') {
      for (let line = first === 0 ? row + 1 : 0; line < (first === 1 ? row : rows); line++) clear(line, 0, columns);
      clear(row, first === 0 ? column : 0, first === 1 ? column + 1 : columns);
    }
  };
  const feed = (): void => {
    if (row < rows - 1) row++;
    else lines = [...lines.slice(1), new Array<string>(columns).fill(' ')];
  };
  // A control sequence, another escape, or one character.
  for (const [whole, numbers, command] of written.matchAll(
    /\u001b\[[<-?]?([\d;]*)[ -/]*([@-~])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[ -/]*[0-~]|[\s\S]/gu,
  )) {
    if (command !== undefined) act(command, (numbers ?? '').split(';').map(Number));
    else if (whole === '\n') feed();
    else if (whole === '\r') column = 0;
    else if (whole === '\b') move(0, -1);
    else if (!whole.startsWith('\u001b') && whole >= ' ') {
      if (column >= columns) {
        column = 0;
        feed();
      }
      lines[row]![column++] = whole;
    }
  }
  return lines.map((line) => line.join('').trimEnd()).join('\n');
}
