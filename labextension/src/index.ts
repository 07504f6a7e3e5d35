import { actionsPlugin } from './plugins/actions';
import { fileBrowserPlugin } from './plugins/fileBrowser';
import { modelPlugin } from './plugins/model';
import { notebookPlugin } from './plugins/notebook';
import { noticesPlugin } from './plugins/notices';
import { notificationsPlugin } from './plugins/notifications';
import { pagesPlugin } from './plugins/pages';
import { sidebarPlugin } from './plugins/sidebar';
import { submitPlugin } from './plugins/submit';
import { submittingPlugin } from './plugins/submitting';
import { timeLeftPlugin } from './plugins/timeLeft';

export { IJobsModel, ISubmitting } from './tokens';

export default [
  modelPlugin,
  submittingPlugin,
  sidebarPlugin,
  submitPlugin,
  pagesPlugin,
  actionsPlugin,
  notebookPlugin,
  fileBrowserPlugin,
  notificationsPlugin,
  noticesPlugin,
  timeLeftPlugin
];
