import type { JSX, ReactNode } from 'react';
import { useId } from 'react';

export interface IFieldProps {
  label: string;
  error?: string;
  hint?: string;
  /** Gets the id for the input, and that of what describes it. */
  children: (id: string, describedBy: string | undefined) => ReactNode;
}

/** A labelled input with a hint, and with its error right below. */
export function Field({ label, error, hint, children }: IFieldProps): JSX.Element {
  const id = useId();
  const said = error ?? hint;
  return (
    <div className="jp-himalia-Field" data-invalid={error !== undefined}>
      <label htmlFor={id}>{label}</label>
      {children(id, said ? `${id}-said` : undefined)}
      {said && (
        <p
          id={`${id}-said`}
          className={error ? 'jp-himalia-Error' : 'jp-himalia-Hint'}
          role={error ? 'alert' : undefined}
        >
          {said}
        </p>
      )}
    </div>
  );
}
