import { useEffect, useState } from 'preact/hooks';
import { t } from '../i18n';
import { copy } from '../lib/clipboard';
import { CheckIcon, CopyIcon } from './icons';

const SHOWN_MS = 1500;

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const shown = copied ? t('copied') : label;
  return (
    <button
      type="button"
      class="quiet icon-only"
      aria-label={shown}
      title={shown}
      onClick={() => void copy(text).then(setCopied)}
    >
      {copied ? <CheckIcon /> : <CopyIcon />}
    </button>
  );
}
