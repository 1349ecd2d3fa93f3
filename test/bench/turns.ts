/** In turning order, so that what wanders slowly is nobody's own. Two change places, pair by pair: ABBA. */
export function turned<Item>(items: readonly Item[], round: number): Item[] {
  if (items.length === 2) return round % 2 === 0 ? [...items] : [...items].reverse();
  const turn = round % items.length;
  const order = [...items.slice(turn), ...items.slice(0, turn)];
  return round % 2 === 0 ? order : order.reverse();
}
