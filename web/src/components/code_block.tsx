import { t } from '../i18n';
import { highlighted } from '../lib/highlight';
import { CopyButton } from './copy_button';

export function CodeBlock({ code, language }: { code: string; language: string }) {
  return (
    <figure class="code-block">
      <figcaption>
        <span>{language || t('code')}</span>
        <CopyButton text={code} label={t('copyCode')} />
      </figcaption>
      <pre tabIndex={0}>
        <code>{highlighted(code, language.toLowerCase())}</code>
      </pre>
    </figure>
  );
}
