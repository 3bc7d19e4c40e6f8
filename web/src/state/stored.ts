// Signals whose value outlives the page. Where the browser keeps nothing (private windows, full
// disks), they simply last as long as the page.
import { effect, signal, type Signal } from '@preact/signals';

function read<T>(storage: Storage, key: string, valid: (value: unknown) => value is T): T | null {
  try {
    const value: unknown = JSON.parse(storage.getItem(key) ?? 'null');
    return valid(value) ? value : null;
  } catch {
    return null;
  }
}

export function stored<T>(
  storage: Storage,
  name: string,
  initial: T,
  valid: (value: unknown) => value is T,
): Signal<T> {
  const key = `fathom.${name}`;
  const held = signal<T>(read(storage, key, valid) ?? initial);
  effect(() => {
    const text = JSON.stringify(held.value);
    try {
      storage.setItem(key, text);
    } catch {
      // see above
    }
  });
  return held;
}

export const isString = (value: unknown): value is string => typeof value === 'string';
