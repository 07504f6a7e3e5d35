import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type { JSX } from 'react';

import type { IJobActions } from '../components/JobHeader';
import { JobView } from '../components/JobView';
import type { JobPage } from '../job/page';

/** A job's page, the content of a main area widget. */
export class JobPageWidget extends ReactWidget {
  constructor(
    readonly page: JobPage,
    private readonly _actions: IJobActions,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-himalia-Job');
    document.addEventListener('visibilitychange', this._onPageVisibility);
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    document.removeEventListener('visibilitychange', this._onPageVisibility);
    this.page.dispose();
    super.dispose();
  }

  protected override render(): JSX.Element {
    const { page, _actions: actions, _trans: trans } = this;
    return <JobView page={page} visible={this._seen} actions={actions} trans={trans} />;
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._onVisibility();
  }

  protected override onAfterHide(message: Message): void {
    super.onAfterHide(message);
    this._onVisibility();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._onVisibility();
  }

  private get _seen(): boolean {
    return this.isVisible && !document.hidden;
  }

  private _onVisibility(): void {
    this.page.setVisible(this._seen);
    this.update();
  }

  private readonly _onPageVisibility = (): void => this._onVisibility();
}
