import { language, t } from '../i18n';
import { compact, integer } from '../lib/format';
import { model, unreachable } from '../state/server';
import { Mark } from './icons';

const SUGGESTIONS = ['suggestion1', 'suggestion2', 'suggestion3'] as const;

function ModelFacts() {
  const known = model.value;
  if (unreachable.value) return <p class="problem">{t('errorUnreachable')}</p>;
  if (!known) return <p class="facts">&nbsp;</p>;
  if (!known.parameters || !known.context_length) return <p class="facts">{known.id}</p>;
  return (
    <p class="facts">
      {t('modelFacts', {
        model: known.id,
        parameters: compact(language.value, known.parameters),
        context: integer(language.value, known.context_length),
      })}
    </p>
  );
}

/** What an empty conversation shows. */
export function Welcome({ ask }: { ask: (text: string) => void }) {
  return (
    <div class="welcome">
      <Mark />
      <h2>{t('greeting')}</h2>
      <ModelFacts />
      <ul class="suggestions" aria-label={t('suggestions')}>
        {SUGGESTIONS.map((name) => (
          <li>
            <button type="button" onClick={() => ask(t(name))}>
              {t(name)}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
