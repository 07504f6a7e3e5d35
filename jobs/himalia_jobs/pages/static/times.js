// Moments in the reader's own zone.
'use strict';

/** Write moments in the reader's own zone: the time today, else the day as well. */
function localise(root) {
  const today = new Date().toDateString();
  for (const found of root.querySelectorAll('time[datetime]')) {
    const moment = new Date(found.dateTime);
    const time = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
    const day = { weekday: 'short', day: 'numeric', month: 'short' };
    const same = moment.toDateString() === today;
    const words = new Intl.DateTimeFormat('en-GB', same ? time : { ...day, ...time }).format(moment);
    found.title = found.textContent = words;
    found.title = moment.toLocaleString();
  }
}

localise(document);
