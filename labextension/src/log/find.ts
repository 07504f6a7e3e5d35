import type { Screen } from './screen';

/** Return the number of the next line that has the text in it, in either case, from a line on and then from the top. */
export function findLines(screen: Screen, query: string, from: number): number | null {
  const wanted = query.toLowerCase();
  const { lines, dropped } = screen;
  if (!wanted) {
    return null;
  }
  const start = Math.max(0, from - dropped);
  for (let step = 0; step < lines.length; step += 1) {
    const index = (start + step) % lines.length;
    if (lines[index].text.toLowerCase().includes(wanted)) {
      return index + dropped;
    }
  }
  return null;
}
