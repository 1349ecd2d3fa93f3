import { parseXml, XmlElement, XmlText } from '@rgrove/parse-xml';

/** An answer as a tree; undefined where it is no XML. DTDs are not processed, so no entity grows. */
export function parseAnswer(text: string): XmlElement | undefined {
  try {
    return parseXml(text).root ?? undefined;
  } catch {
    return undefined;
  }
}

/** Elements of one name directly inside another. */
export function children(element: XmlElement, name: string): XmlElement[] {
  return element.children.filter((child): child is XmlElement => child instanceof XmlElement && child.name === name);
}

/** The text of one child; undefined where there is none of this name. */
export function childText(element: XmlElement, name: string): string | undefined {
  const [child] = children(element, name);
  return child?.children.map((part) => (part instanceof XmlText ? part.text : '')).join('');
}

/** The text of the first element of a name, at whatever depth. */
export function findText(element: XmlElement, name: string): string | undefined {
  const here = childText(element, name);
  if (here !== undefined) return here;
  for (const child of element.children) {
    const found = child instanceof XmlElement ? findText(child, name) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** @param text of one element of a request body */
export function escapeXML(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
