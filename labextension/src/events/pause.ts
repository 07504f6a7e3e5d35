/** Wait for a while; the signal ends the wait at once. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal.addEventListener('abort', finish);
    if (signal.aborted) {
      finish();
    }
  });
}

/** Return how long to wait before try number `failures` + 1: 1 s, 2 s, 4 s … 60 s, less up to a quarter. */
export function backoff(failures: number, random: () => number = Math.random): number {
  // Without the random part all browsers would come back in the same moment after a restart.
  return Math.min(60_000, 1000 * 2 ** (failures - 1)) * (1 - random() / 4);
}
