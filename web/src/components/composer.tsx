import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect } from 'preact/hooks';
import { t } from '../i18n';
import { answering, stop } from '../state/conversation';
import { SendIcon, StopIcon } from './icons';

interface Props {
  input: RefObject<HTMLTextAreaElement | null>;
  draft: string;
  setDraft: (text: string) => void;
  submit: (text: string) => void;
}

export function Composer({ input, draft, setDraft, submit }: Props) {
  useLayoutEffect(() => {
    const area = input.current;
    if (!area) return;
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight}px`;
  }, [draft]);
  useEffect(() => {
    // On a phone the keyboard would cover half of the page.
    if (matchMedia('(hover: hover)').matches) input.current?.focus();
  }, []);
  const onKeyDown = (event: KeyboardEvent) => {
    // While characters are being composed, Enter belongs to the input method.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit(draft);
  };
  const busy = answering.value;
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit(draft);
      }}
    >
      <textarea
        ref={input}
        rows={1}
        value={draft}
        aria-label={t('message')}
        placeholder={t('messageHint')}
        onInput={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      {busy ? (
        <button type="button" class="round" aria-label={t('stop')} title={t('stop')} onClick={stop}>
          <StopIcon />
        </button>
      ) : (
        <button
          type="submit"
          class="round"
          aria-label={t('send')}
          title={t('send')}
          disabled={draft.trim() === ''}
        >
          <SendIcon />
        </button>
      )}
    </form>
  );
}
