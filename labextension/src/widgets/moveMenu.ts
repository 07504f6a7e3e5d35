import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Menu } from '@lumino/widgets';

import { CommandIds } from '../tokens';

/** Open a menu of the places that a job can be given in line, below a button. */
export function offerMoves({ commands }: JupyterFrontEnd, id: string, beside: Element): void {
  const menu = new Menu({ commands });
  menu.addClass('jp-himalia-MoveMenu');
  for (const command of [CommandIds.moveUp, CommandIds.moveDown, CommandIds.moveFirst]) {
    menu.addItem({ command, args: { id } });
  }
  // Closing comes before the command: disposed of a moment later, it still runs.
  menu.aboutToClose.connect(() => setTimeout(() => menu.dispose()));
  const { left, bottom } = beside.getBoundingClientRect();
  menu.open(left, bottom);
}
