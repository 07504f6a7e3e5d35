/** Commands as people type them, and as the service keeps them. */

const SAFE = /^[\w@%+=:,./-]+$/;

/** Return a list of arguments as one line that a shell reads back. */
export function commandLine(command: readonly string[]): string {
  if (command.length === 3 && command[0].endsWith('sh') && command[1] === '-c') {
    return command[2];
  }
  return command.map(quoted).join(' ');
}

/** Return a word so that a shell reads exactly it. */
export function quoted(word: string): string {
  return SAFE.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
