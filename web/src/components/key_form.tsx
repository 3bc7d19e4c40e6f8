import { useState } from 'preact/hooks';
import { t } from '../i18n';
import { loadModels } from '../state/server';
import { apiKey } from '../state/settings';

/** Asks for the API key where the server wants one. */
export function KeyForm() {
  const [text, setText] = useState('');
  const use = (event: Event) => {
    event.preventDefault();
    const key = text.trim();
    if (key === apiKey.value) void loadModels();
    else apiKey.value = key;
  };
  return (
    <form class="card key-form" onSubmit={use}>
      <p role="alert">{t(apiKey.value === '' ? 'keyNeeded' : 'keyWrong')}</p>
      <div class="row">
        <input
          type="password"
          autocomplete="off"
          spellcheck={false}
          aria-label={t('key')}
          placeholder={t('key')}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit" class="primary" disabled={text.trim() === ''}>
          {t('useKey')}
        </button>
      </div>
      <p class="hint">{t('keyHint')}</p>
    </form>
  );
}
