/** Sizes, durations and times for people. */

/** Return a size for people: `3.2 GB` (powers of 1024). */
export function formatSize(bytes: number): string {
  if (bytes === 1) {
    return '1 byte';
  }
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  let number = bytes;
  let unit = 0;
  while (Math.abs(number) >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 || number >= 100 ? number.toFixed(0) : number.toFixed(1)} ${units[unit]}`;
}

/** Return a size as the command line takes it, to the byte: `8G`, `1536M`, `1000`. */
export function exactSize(bytes: number): string {
  let number = bytes;
  let unit = 0;
  while (number >= 1024 && number % 1024 === 0 && unit < 4) {
    number /= 1024;
    unit += 1;
  }
  return `${number}${['', 'K', 'M', 'G', 'T'][unit]}`;
}

/** Return a stranger's text with what would turn or hide letters written out. */
export function visible(text: string): string {
  return text.replace(
    /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
  );
}

/** Return a duration for people: `42 s`, `3 min`, `2 h 40 min`, `3 d 4 h`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) {
    return `${whole} s`;
  }
  if (whole < 3600) {
    return `${Math.floor(whole / 60)} min`;
  }
  const [size, unit, below, part] =
    whole < 86400 ? [3600, 'h', 60, 'min'] : [86400, 'd', 3600, 'h'];
  const rest = Math.floor((whole % Number(size)) / Number(below));
  const text = `${Math.floor(whole / Number(size))} ${unit}`;
  return rest ? `${text} ${rest} ${part}` : text;
}

/** Return the seconds between two moments; the second is now when it is none. */
export function secondsBetween(start: string, end: string | null, now: number): number {
  return ((end ? Date.parse(end) : now) - Date.parse(start)) / 1000;
}

/** Return a moment in the reader's zone: the time today, the date before. */
export function formatMoment(moment: string, now: number): string {
  const date = new Date(moment);
  const today = new Date(now).toDateString() === date.toDateString();
  return today
    ? date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    : date.toLocaleDateString([], {
        day: 'numeric',
        month: 'short',
        hour: '2-digit',
        minute: '2-digit'
      });
}

/** Return a moment in the reader's zone to the second: the time today, the date before. */
export function formatSecond(moment: string, now: number): string {
  const date = new Date(moment);
  const time = date.toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit'
  });
  if (new Date(now).toDateString() === date.toDateString()) {
    return time;
  }
  return `${date.toLocaleDateString([], { day: 'numeric', month: 'short' })} ${time}`;
}

/** Return a moment that is still to come as sentences write it: to the minute, never earlier than it is. */
export function formatDeadline(moment: string, now: number): string {
  return formatMoment(new Date(Math.ceil(Date.parse(moment) / 60_000) * 60_000).toISOString(), now);
}

/** Return a moment in full, in the reader's zone. */
export function formatFully(moment: string): string {
  return new Date(moment).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' });
}

/** Return a sentence with its UTC stamps in the reader's zone. */
export function localised(sentence: string, now: number): string {
  return sentence.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z/g, (stamp, seconds?: string) =>
    (seconds ? formatSecond : formatMoment)(stamp, now)
  );
}
