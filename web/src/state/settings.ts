// What a person has chosen. The API key stays with the tab; everything else with the browser.
import { effect } from '@preact/signals';
import type { Sampling } from '../api/chat';
import { isString, stored } from './stored';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const isTheme = (value: unknown): value is Theme => THEMES.includes(value as Theme);

function isSampling(value: unknown): value is Sampling {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(([name, entry]) =>
      name === 'stop'
        ? Array.isArray(entry) && entry.every(isString)
        : typeof entry === 'number' && Number.isFinite(entry),
    )
  );
}

export const apiKey = stored(sessionStorage, 'key', '', isString);
export const theme = stored<Theme>(localStorage, 'theme', 'auto', isTheme);
export const systemPrompt = stored(localStorage, 'system', '', isString);
export const chosenModel = stored(localStorage, 'model', '', isString);
export const sampling = stored<Sampling>(localStorage, 'sampling', {}, isSampling);

effect(() => {
  if (theme.value === 'auto') {
    delete document.documentElement.dataset['theme'];
  } else {
    document.documentElement.dataset['theme'] = theme.value;
  }
});
