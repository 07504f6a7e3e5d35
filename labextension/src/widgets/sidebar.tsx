import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type { JSX } from 'react';

import { Sidebar } from '../components/Sidebar';
import { jobsIcon } from '../icons';
import type { JobsModel } from '../model';
import type { SubmitForm } from '../submit/form';
import { SIDEBAR_ID } from '../tokens';

export interface ISidebarOptions {
  model: JobsModel;
  form: SubmitForm;
  onOpen: (id: string) => void;
  onCancel: (id: string) => void;
  onMove: (id: string, beside: Element) => void;
  trans: TranslationBundle;
}

/** The sidebar *Jobs* in Lab's shell. */
export class SidebarWidget extends ReactWidget {
  constructor(private readonly _options: ISidebarOptions) {
    super();
    const { trans } = _options;
    this.id = SIDEBAR_ID;
    this.addClass('jp-himalia-Sidebar');
    this.title.icon = jobsIcon;
    this.title.caption = trans.__('Jobs');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Jobs'));
  }

  protected override render(): JSX.Element {
    return <Sidebar {...this._options} visible={this.isVisible} />;
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._options.form.setActive(true);
    this.update();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._options.form.setActive(false);
    this.update();
  }
}
