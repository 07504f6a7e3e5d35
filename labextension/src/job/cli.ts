import { commandLine, quoted } from '../submit/command';
import { exactSize, formatDuration } from '../format';
import type { IJob } from '../words';

/** Return the line that submits the same from a terminal. */
export function cliLine(job: IJob): string {
  const parts = [
    'himalia submit',
    `--project ${quoted(job.project)}`,
    `--profile ${quoted(job.profile)}`,
    `--gpu ${quoted(job.gpus)}`,
    `--cpus ${job.cpus}`,
    `--memory ${exactSize(job.memory_bytes)}`
  ];
  if (job.source?.fetched) {
    parts.push(`--git ${quoted(`${job.source.remote}@${job.source.commit}`)}`);
  }
  if (job.preemptible) {
    parts.push('--preemptible');
  }
  if (job.experiment) {
    parts.push(`--experiment ${quoted(job.experiment)}`);
  }
  parts.push(
    `--timeout ${formatDuration(job.timeout_seconds).replaceAll(' ', '').replaceAll('min', 'm')}`
  );
  if (job.disk_bytes) {
    parts.push(`--disk ${exactSize(job.disk_bytes)}`);
  }
  if (job.warn_seconds) {
    parts.push(`--warn ${job.warn_seconds}`);
  }
  if (job.retries) {
    parts.push(`--retries ${job.retries}`);
    if (job.retry_on) {
      parts.push(`--retry-on ${job.retry_on}`);
    }
  }
  for (const [name, value] of Object.entries(job.env)) {
    parts.push(`--env ${quoted(`${name}=${value}`)}`);
  }
  if (job.workdir) {
    parts.push(`--workdir ${quoted(job.workdir)}`);
  }
  if (job.notebook) {
    parts.push(`--notebook ${quoted(job.notebook.path)}`);
    for (const [name, value] of Object.entries(job.notebook.parameters)) {
      parts.push(`--param ${quoted(`${name}=${JSON.stringify(value)}`)}`);
    }
  } else {
    parts.push(
      `-- ${throughShell(job) ? `sh -c ${quoted(commandLine(job.command))}` : commandLine(job.command)}`
    );
  }
  return parts.join(' ');
}

function throughShell(job: IJob): boolean {
  return job.command.length === 3 && job.command[1] === '-c';
}
