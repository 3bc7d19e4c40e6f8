import type { RefObject } from 'preact';
import { useState } from 'preact/hooks';
import { t } from '../i18n';
import { model, models, needsKey } from '../state/server';
import { apiKey, chosenModel, sampling, systemPrompt, theme, THEMES } from '../state/settings';
import { CloseIcon } from './icons';
import { SamplingFields } from './sampling_fields';

const THEME_NAMES = { auto: 'themeAuto', light: 'themeLight', dark: 'themeDark' } as const;

function ModelField() {
  return (
    <label class="field">
      <span>{t('model')}</span>
      <select
        value={model.value?.id ?? ''}
        onChange={(event) => (chosenModel.value = event.currentTarget.value)}
      >
        {models.value.map(({ id }) => (
          <option value={id}>{id}</option>
        ))}
      </select>
    </label>
  );
}

function KeyField() {
  return (
    <label class="field">
      <span>{t('key')}</span>
      <input
        type="password"
        autocomplete="off"
        spellcheck={false}
        value={apiKey.value}
        onChange={(event) => (apiKey.value = event.currentTarget.value.trim())}
      />
      <small>{needsKey.value ? t('keyNeeded') : t('keyHint')}</small>
    </label>
  );
}

function ThemeField() {
  return (
    <fieldset class="field choices">
      <legend>{t('theme')}</legend>
      {THEMES.map((name) => (
        <label>
          <input
            type="radio"
            name="theme"
            checked={theme.value === name}
            onChange={() => (theme.value = name)}
          />
          <span>{t(THEME_NAMES[name])}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** Opens with showModal(), which keeps the focus inside; Esc and a click beside it close it. */
export function Settings({ dialog }: { dialog: RefObject<HTMLDialogElement | null> }) {
  const [resets, setResets] = useState(0);
  const close = () => dialog.current?.close();
  const reset = () => {
    sampling.value = {};
    setResets(resets + 1);
  };
  return (
    <dialog
      class="settings"
      ref={dialog}
      aria-labelledby="settings-title"
      onClick={(event) => {
        if (event.target === dialog.current) close();
      }}
    >
      <div class="panel">
        <header>
          <h2 id="settings-title">{t('settings')}</h2>
          <button
            type="button"
            class="quiet icon-only"
            aria-label={t('close')}
            title={t('close')}
            onClick={close}
          >
            <CloseIcon />
          </button>
        </header>
        <ModelField />
        <label class="field">
          <span>{t('systemPrompt')}</span>
          <textarea
            rows={4}
            value={systemPrompt.value}
            placeholder={t('systemPromptHint')}
            onInput={(event) => (systemPrompt.value = event.currentTarget.value)}
          />
        </label>
        <section aria-labelledby="sampling-title">
          <div class="row spread">
            <h3 id="sampling-title">{t('sampling')}</h3>
            <button type="button" class="quiet" onClick={reset}>
              {t('reset')}
            </button>
          </div>
          <p class="hint">{t('samplingHint')}</p>
          <SamplingFields key={resets} />
        </section>
        <KeyField />
        <ThemeField />
      </div>
    </dialog>
  );
}
