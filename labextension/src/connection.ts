import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { IConnection } from './api';
import type { IInfo } from './words';

/** Reach the job service with the token of who looks at the page: on the page's own origin, or else through the server. */
export class LabConnection implements IConnection {
  private readonly _settings = ServerConnection.makeSettings();
  private _info: IInfo | null = null;

  async service(path: string, init: RequestInit = {}): Promise<Response> {
    if (!this._info) {
      const answer = await this.extension('info');
      if (!answer.ok) {
        return answer;
      }
      this._info = (await answer.json()) as IInfo;
    }
    if (!this._info.same_origin) {
      // A page may not ask another origin: the server passes it on.
      return this.extension(`service/${path}`, init);
    }
    const headers = new Headers(init.headers);
    headers.set('Authorization', `Bearer ${PageConfig.getToken()}`);
    // The token alone says who asks: no cookie, so no other site can borrow one.
    return fetch(this._info.service_url + path, {
      ...init,
      headers,
      credentials: 'omit',
      cache: 'no-store'
    });
  }

  extension(path: string, init: RequestInit = {}): Promise<Response> {
    // Joined by hand: what is escaped in a path has to stay so.
    const url = `${URLExt.join(this._settings.baseUrl, 'himalia', 'api')}/${path}`;
    return ServerConnection.makeRequest(url, init, this._settings);
  }
}
