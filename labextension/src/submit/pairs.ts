/** Pairs as people type them, one on each line: variables of the environment, parameters of a notebook. */

/** Return the pairs of a text; lines that are empty say nothing. */
export function pairsOf(text: string): [string, string][] {
  return linesOf(text).map(line => {
    const at = line.indexOf('=');
    return [line.slice(0, at).trim(), line.slice(at + 1)];
  });
}

/** Return the first line that is no pair; nothing when all are. */
export function oddLine(text: string): string | undefined {
  return linesOf(text).find(line => !/^\s*[^\s=]+\s*=/.test(line));
}

/** Return what a parameter means, as the command line reads it: JSON where it is JSON, else the text itself. */
export function valueOf(text: string): unknown {
  try {
    const value = JSON.parse(text) as unknown;
    // What JSON cannot write again is text.
    return typeof value === 'number' && !Number.isFinite(value) ? text : value;
  } catch {
    return text;
  }
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter(line => line.trim());
}
