import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { INotebookTracker } from '@jupyterlab/notebook';

import type { JobsModel } from '../model';
import { LabFiles } from '../submit/files';
import { SubmitForm } from '../submit/form';
import { TargetTracker } from '../submit/target';
import { IJobsModel, ISubmitting } from '../tokens';

/** Knows what would be submitted. */
export const submittingPlugin: JupyterFrontEndPlugin<ISubmitting> = {
  id: 'himalia:submitting',
  description: 'The form that submits the directory in front of a person.',
  autoStart: true,
  requires: [IJobsModel, IDocumentManager],
  optional: [IDefaultFileBrowser, INotebookTracker],
  provides: ISubmitting,
  activate: (
    app: JupyterFrontEnd,
    model: JobsModel,
    docManager: IDocumentManager,
    browser: IDefaultFileBrowser | null,
    notebooks: INotebookTracker | null
  ): ISubmitting => {
    const { contents } = app.serviceManager;
    const { shell } = app;
    const targets = new TargetTracker({ shell, docManager, contents, browser, notebooks });
    const form = new SubmitForm(model, new LabFiles(shell, docManager, contents), targets.target);
    targets.changed.connect((_, target) => form.setTarget(target));
    return { form, targets };
  }
};
