import { LabIcon } from '@jupyterlab/ui-components';

/** Jobs: three lines of work, one of them done. */
export const jobsIcon = new LabIcon({
  name: 'himalia:jobs',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M3 19 9.5 7.5l3.6 6.2 2-3.2L21 19z"/>
    <path d="M16.8 3.2a3 3 0 1 1 0 6 3 3 0 0 1 0-6z"/>
  </g></svg>`
});

/** Run as job: a triangle that leaves the notebook. */
export const submitIcon = new LabIcon({
  name: 'himalia:submit',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M12 3 6.5 8.5l1.4 1.4L11 6.8V16h2V6.8l3.1 3.1 1.4-1.4z"/>
    <path d="M5 15v4.2c0 1 .8 1.8 1.8 1.8h10.4c1 0 1.8-.8 1.8-1.8V15h-2v4H7v-4z"/>
  </g></svg>`
});
