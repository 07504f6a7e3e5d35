import type { IJobSummary } from './words';

/** Where to, among one's own jobs in line. */
export type Move = 'up' | 'down' | 'first';

/** A place among one's own jobs, as the service is asked for it. */
export interface IPlace {
  first?: true;
  last?: true;
  /** The id of the job that comes next. */
  before?: string;
}

/** Return the jobs of a person that wait, in line. */
export function ownLine(jobs: readonly IJobSummary[], me: string): IJobSummary[] {
  return jobs.filter(job => job.state === 'queued' && job.user === me).sort(byPosition);
}

/** Order jobs by their place in line; who has none yet comes last, the oldest first. */
export function byPosition(a: IJobSummary, b: IJobSummary): number {
  const [first, second] = [a.position ?? Infinity, b.position ?? Infinity];
  return first === second ? a.created_at.localeCompare(b.created_at) : first - second;
}

/** Return the place that a move gives a job in a line; null where it is there already. */
export function placeFor(line: readonly IJobSummary[], id: string, move: Move): IPlace | null {
  const at = line.findIndex(job => job.id === id);
  if (at < 0) {
    return null;
  }
  if (move === 'down') {
    const next = line[at + 2];
    return at === line.length - 1 ? null : next ? { before: next.id } : { last: true };
  }
  if (at === 0) {
    return null;
  }
  return move === 'first' ? { first: true } : { before: line[at - 1].id };
}
