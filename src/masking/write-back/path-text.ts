import { quoted } from '../../request/json.ts';

/** Steps from an object's root: names of members, indices of items. */
export type Steps = readonly (string | number)[];

/** As messages and placeholders have it: `spec.users[0].password`, `data["tls.key"]`. */
export function pathText(steps: Steps): string {
  let text = '';
  for (const step of steps) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z_$][A-Za-z0-9_$-]*$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${quoted(step)}]`;
  }
  return text === '' ? 'the whole object' : text;
}
