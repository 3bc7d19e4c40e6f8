// Colours of code. The grammars come as a part of their own once the first code block is shown;
// until then, and for languages that are not among them, code is plain text.
import { signal } from '@preact/signals';
import type { RootContent } from 'hast';
import { h, type ComponentChild } from 'preact';

type Highlighter = typeof import('./grammars').highlight;

// Longer blocks stay plain: while an answer grows they are coloured anew with every piece.
const MOST_CHARACTERS = 20_000;

const highlighter = signal<Highlighter | null>(null);
let asked = false;

function load(): void {
  if (asked) return;
  asked = true;
  import('./grammars').then(
    (grammars) => (highlighter.value = grammars.highlight),
    () => undefined, // without colours, then
  );
}

function draw(nodes: readonly RootContent[]): ComponentChild[] {
  return nodes.map((node) => {
    if (node.type === 'text') return node.value;
    if (node.type !== 'element') return null;
    const names = node.properties['className'];
    return h('span', { class: Array.isArray(names) ? names.join(' ') : '' }, draw(node.children));
  });
}

export function highlighted(code: string, language: string): ComponentChild {
  if (language === '' || code.length > MOST_CHARACTERS) return code;
  load();
  const tree = highlighter.value?.(code, language);
  return tree ? draw(tree.children) : code;
}
