// Markdown as elements. The text comes from a model and is not to be trusted: it is only ever made
// into text nodes of elements that are named here. HTML in it is shown as it was written, links go
// to the web alone, and pictures are links, because loading them would tell others who reads.
import { lexer, type MarkedToken, type Token } from 'marked';
import type { ComponentChild, VNode } from 'preact';
import { t } from '../i18n';
import { decodeEntities } from '../lib/entities';
import { memo } from '../lib/memo';
import { safeLink } from '../lib/safe_link';
import { CodeBlock } from './code_block';

function Link({ href, children }: { href: string; children: ComponentChild }) {
  const address = safeLink(href);
  return address === null ? (
    <>{children}</>
  ) : (
    <a href={address} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

function Table({ token }: { token: Extract<MarkedToken, { type: 'table' }> }) {
  const alignment = (i: number) => `align-${token.align[i] ?? 'left'}`;
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label={t('table')}>
      <table>
        <thead>
          <tr>
            {token.header.map((cell, i) => (
              <th scope="col" class={alignment(i)}>
                {draw(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row) => (
            <tr>
              {row.map((cell, i) => (
                <td class={alignment(i)}>{draw(cell.tokens)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function List({ token }: { token: Extract<MarkedToken, { type: 'list' }> }) {
  const items = token.items.map((item) => (
    <li class={item.task ? 'task' : ''}>{draw(item.tokens)}</li>
  ));
  if (!token.ordered) return <ul>{items}</ul>;
  return <ol start={token.start === '' ? 1 : token.start}>{items}</ol>;
}

// Below the page's own headings.
function Heading({ depth, children }: { depth: number; children: ComponentChild }) {
  if (depth === 1) return <h3>{children}</h3>;
  if (depth === 2) return <h4>{children}</h4>;
  return <h5>{children}</h5>;
}

function element(given: Token): ComponentChild {
  const token = given as MarkedToken;
  switch (token.type) {
    case 'space':
    case 'def':
      return null;
    case 'paragraph':
      return <p>{draw(token.tokens)}</p>;
    case 'text':
      return 'tokens' in token && token.tokens ? draw(token.tokens) : decodeEntities(token.text);
    case 'escape':
      return token.text;
    case 'strong':
      return <strong>{draw(token.tokens)}</strong>;
    case 'em':
      return <em>{draw(token.tokens)}</em>;
    case 'del':
      return <del>{draw(token.tokens)}</del>;
    case 'codespan':
      return <code>{token.text}</code>;
    case 'br':
      return <br />;
    case 'code':
      return <CodeBlock code={token.text} language={token.lang?.split(/\s/)[0] ?? ''} />;
    case 'heading':
      return <Heading depth={token.depth}>{draw(token.tokens)}</Heading>;
    case 'hr':
      return <hr />;
    case 'blockquote':
      return <blockquote>{draw(token.tokens)}</blockquote>;
    case 'list':
      return <List token={token} />;
    case 'list_item':
      return draw(token.tokens);
    case 'checkbox':
      return token.checked ? '☑ ' : '☐ ';
    case 'table':
      return <Table token={token} />;
    case 'link':
      return <Link href={token.href}>{draw(token.tokens)}</Link>;
    case 'image':
      return <Link href={token.href}>{token.text || token.href}</Link>;
    default:
      return given.raw;
  }
}

function draw(tokens: readonly Token[]): ComponentChild[] {
  return tokens.map(element);
}

// While an answer grows only its last block changes; the others are not drawn again.
const Block = memo(
  function Block({ token }: { raw: string; token: Token }) {
    return <>{element(token)}</>;
  },
  ['raw'],
);

export const Markdown = memo(function Markdown({ text }: { text: string }): VNode {
  return (
    <div class="markdown">
      {lexer(text).map((token, i) => (
        <Block key={i} raw={token.raw} token={token} />
      ))}
    </div>
  );
});
