// Character references that Markdown allows in text (https://spec.commonmark.org/current/#entities),
// of the named ones those that language models write. The result is a text node, never markup.

const NAMED: Record<string, string> = {
  amp: '&',
  apos: "'",
  copy: '©',
  deg: '°',
  divide: '÷',
  euro: '€',
  ge: '≥',
  gt: '>',
  hellip: '…',
  laquo: '«',
  larr: '←',
  ldquo: '“',
  le: '≤',
  lsquo: '‘',
  lt: '<',
  mdash: '—',
  middot: '·',
  nbsp: '\u00a0',
  ndash: '–',
  ne: '≠',
  quot: '"',
  raquo: '»',
  rarr: '→',
  rdquo: '”',
  reg: '®',
  rsquo: '’',
  times: '×',
  trade: '™',
};

const REPLACEMENT = '\ufffd';

function character(code: number): string {
  const valid = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return valid ? String.fromCodePoint(code) : REPLACEMENT;
}

export function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-zA-Z]+));/g,
    (whole, ...groups) => {
      const [decimal, hexadecimal, name] = groups as (string | undefined)[];
      if (decimal !== undefined) return character(Number(decimal));
      if (hexadecimal !== undefined) return character(parseInt(hexadecimal, 16));
      return (Object.hasOwn(NAMED, name ?? '') && NAMED[name ?? '']) || whole;
    },
  );
}
