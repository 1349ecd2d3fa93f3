/** How a document reaches an agent. */
export interface Envelope {
  readonly name: string;
  readonly format: 'json' | 'text';
  wrap(text: string): string;
}

const lines = (text: string, each: (line: string) => string): string => `${text.split('\n').map(each).join('\n')}\n`;
const configMap = (data: Record<string, string>): string =>
  JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'c', uid: 'u' }, data });

export const ENVELOPES: readonly Envelope[] = [
  { name: 'log', format: 'text', wrap: (text) => `${text}\n` },
  { name: 'terminal', format: 'text', wrap: (text) => `${text.replaceAll('\n', '\r\n')}\r\n` },
  {
    name: 'timestamps',
    format: 'text',
    wrap: (text) => lines(text, (line) => `2026-06-12T14:03:22.123456789Z ${line}`),
  },
  { name: 'ConfigMap', format: 'json', wrap: (text) => configMap({ file: text }) },
  {
    name: 'log of JSON lines',
    format: 'text',
    wrap: (text) => `${JSON.stringify({ level: 'info', msg: text, n: 1 })}\n`,
  },
  {
    name: 'annotation',
    format: 'json',
    wrap: (text) => JSON.stringify({ kind: 'Pod', metadata: { name: 'p', uid: 'u', annotations: { note: text } } }),
  },
  {
    name: 'base64 in a ConfigMap',
    format: 'json',
    wrap: (text) => configMap({ encoded: Buffer.from(text).toString('base64') }),
  },
];
