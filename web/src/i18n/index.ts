// The page's language: the chosen one, else the browser's if we have it, else English.
import { effect } from '@preact/signals';
import { stored } from '../state/stored';
import { en, type Texts } from './en';
import { zh } from './zh';

export type Language = 'en' | 'zh';

const TEXTS: Record<Language, Texts> = { en, zh };
const isLanguage = (value: unknown): value is Language => value === 'en' || value === 'zh';

function preferred(): Language {
  for (const tag of navigator.languages) {
    const language = tag.slice(0, 2).toLowerCase();
    if (isLanguage(language)) return language;
  }
  return 'en';
}

export const language = stored<Language>(localStorage, 'language', preferred(), isLanguage);

effect(() => {
  document.documentElement.lang = language.value === 'zh' ? 'zh-Hans' : 'en';
});

/** The text of that name in the page's language. */
export function t(name: keyof Texts, values: Record<string, string | number> = {}): string {
  return TEXTS[language.value][name].replace(/\{(\w+)\}/g, (whole, key: string) =>
    String(values[key] ?? whole),
  );
}
