// Numbers as people of a language write them.
import type { Language } from '../i18n';

const formats = new Map<string, Intl.NumberFormat>();

function format(language: Language, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = language + JSON.stringify(options);
  const made = formats.get(key) ?? new Intl.NumberFormat(language, options);
  formats.set(key, made);
  return made;
}

export const NOTHING = '–';

export function integer(language: Language, value: number): string {
  return format(language, { maximumFractionDigits: 0 }).format(value);
}

/** 134.5M in English, 1.3亿 in Chinese. */
export function compact(language: Language, value: number): string {
  return format(language, { notation: 'compact', maximumSignificantDigits: 3 }).format(value);
}

/** About three digits: 0.04, 7.25, 178. */
export function decimal(language: Language, value: number | null): string {
  if (value === null) return NOTHING;
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return format(language, { maximumFractionDigits: digits }).format(value);
}

export function percent(language: Language, share: number | null): string {
  return share === null
    ? NOTHING
    : format(language, { style: 'percent', maximumFractionDigits: 0 }).format(share);
}

export function bytes(language: Language, value: number | null): string {
  if (value === null) return NOTHING;
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let size = value;
  for (; size >= 1000 && unit < units.length - 1; ++unit) size /= 1000;
  return `${decimal(language, size)} ${units[unit]}`;
}

/** Milliseconds below a second. */
export function duration(language: Language, seconds: number | null): string {
  if (seconds === null) return NOTHING;
  if (seconds < 0.9995) return `${decimal(language, seconds * 1000)} ms`;
  return `${decimal(language, seconds)} s`;
}

export function dollars(language: Language, value: number): string {
  const digits = value !== 0 && value < 1 ? 4 : 2;
  return format(language, {
    style: 'currency',
    currency: 'USD',
    minimumFractionDigits: 2,
    maximumFractionDigits: digits,
  }).format(value);
}
