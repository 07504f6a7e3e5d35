// Keeps a page as it is now: by events of the service, and every few seconds for what no event tells (a GPU's use).
// Without this script the page is right when it is loaded.
'use strict';

const EVERY_MS = 5000;
const PAUSE_MS = 400; // several changes at once are one
const RETRY_MS = 3000;

const live = document.getElementById('live');
const headers = { 'X-XSRFToken': document.body.dataset.xsrf };
const address = live.dataset.live;
let soon = 0;
let asking = false;

/** Take over what is new, and keep the rest as it is: what has the focus, what is open, what is read out. */
function takeOver(before, after) {
  if (before.isEqualNode(after)) {
    return;
  }
  if (before.nodeType !== after.nodeType || before.nodeName !== after.nodeName || before.id !== after.id) {
    before.replaceWith(after);
    return;
  }
  if (before.nodeType !== Node.ELEMENT_NODE) {
    before.nodeValue = after.nodeValue;
    return;
  }
  const kept = before.nodeName === 'DETAILS' ? ['open'] : [];
  for (const { name } of [...before.attributes]) {
    if (!after.hasAttribute(name) && !kept.includes(name)) {
      before.removeAttribute(name);
    }
  }
  for (const { name, value } of [...after.attributes]) {
    if (before.getAttribute(name) !== value) {
      before.setAttribute(name, value);
    }
  }
  const old = [...before.childNodes];
  const fresh = [...after.childNodes];
  fresh.forEach((node, place) => (old[place] ? takeOver(old[place], node) : before.append(node)));
  old.slice(fresh.length).forEach(node => node.remove());
}

/** Ask for the page as it is now. */
async function refresh() {
  if (asking || document.hidden) {
    return;
  }
  asking = true;
  try {
    const answer = await fetch(address, { headers: { ...headers, Accept: 'text/html' } });
    if (answer.status === 401 || answer.status === 403) {
      location.reload(); // the login is over
      return;
    }
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const after = page.getElementById('live');
      localise(after);
      takeOver(live, after);
    }
    document.body.toggleAttribute('data-away', !answer.ok);
  } catch {
    document.body.toggleAttribute('data-away', true);
  } finally {
    asking = false;
  }
}

function refreshSoon() {
  clearTimeout(soon);
  soon = setTimeout(refresh, PAUSE_MS);
}

/** Follow the service's events as long as somebody looks; a stream that breaks is opened again. */
async function follow() {
  for (;;) {
    const stop = new AbortController();
    const hidden = () => document.hidden && stop.abort();
    document.addEventListener('visibilitychange', hidden);
    try {
      const answer = await fetch(live.dataset.events, { headers, signal: stop.signal });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); answer.ok && !part.done; part = await reader.read()) {
        if (/^event: /m.test(part.value)) {
          refreshSoon();
        }
      }
    } catch {
      // Hidden, or the service is away: both pass.
    }
    document.removeEventListener('visibilitychange', hidden);
    await new Promise(go => setTimeout(go, RETRY_MS));
    while (document.hidden) {
      await new Promise(go => document.addEventListener('visibilitychange', go, { once: true }));
    }
  }
}

if (live.dataset.events) {
  follow();
}
setInterval(refresh, EVERY_MS);
document.addEventListener('visibilitychange', refreshSoon);
