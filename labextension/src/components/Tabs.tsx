import type { JSX, KeyboardEvent } from 'react';

export interface ITabsProps<T extends string> {
  /** The beginning of the ids of tabs and panel. */
  id: string;
  tabs: readonly (readonly [T, string])[];
  chosen: T;
  onChoose: (tab: T) => void;
}

/** Tabs as a screen reader and a keyboard know them: one is reached by Tab, the others by the arrows. */
export function Tabs<T extends string>({ id, tabs, chosen, onChoose }: ITabsProps<T>): JSX.Element {
  const move = (event: KeyboardEvent<HTMLElement>): void => {
    const at = tabs.findIndex(([tab]) => tab === chosen);
    const next = placeAfter(event.key, at, tabs.length);
    if (next === null) {
      return;
    }
    event.preventDefault();
    onChoose(tabs[next][0]);
    (event.currentTarget.children[next] as HTMLElement).focus();
  };
  return (
    <div role="tablist" onKeyDown={move}>
      {tabs.map(([tab, label]) => (
        <button
          key={tab}
          id={`${id}-${tab}`}
          role="tab"
          aria-selected={tab === chosen}
          aria-controls={`${id}-panel`}
          tabIndex={tab === chosen ? 0 : -1}
          className="jp-himalia-Tab"
          onClick={() => onChoose(tab)}
        >
          {label}
        </button>
      ))}
    </div>
  );
}

/** Return which tab a key leads to; nothing when it leads nowhere. */
export function placeAfter(key: string, at: number, count: number): number | null {
  switch (key) {
    case 'ArrowRight':
      return (at + 1) % count;
    case 'ArrowLeft':
      return (at + count - 1) % count;
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return null;
  }
}
