// Leads to the server once it has started while somebody looks at the waiting page.
'use strict';

const place = document.getElementById('live');

function goTo() {
  return place.querySelector('[data-go]')?.dataset.go;
}

// Who comes back to a page that is over stays there: the server may have been stopped since.
if (!goTo()) {
  new MutationObserver((_, observer) => {
    const address = goTo();
    if (address) {
      observer.disconnect();
      location.assign(address);
    }
  }).observe(place, { subtree: true, childList: true, attributes: true });
}
