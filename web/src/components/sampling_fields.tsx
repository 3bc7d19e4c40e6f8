import { useId, useState } from 'preact/hooks';
import { t } from '../i18n';
import { parseField, RULES, withField, withStops, type Rule } from '../lib/sampling_rules';
import { sampling } from '../state/settings';

function NumberInput({ rule }: { rule: Rule }) {
  const held = sampling.value[rule.name];
  const [text, setText] = useState(held === undefined ? '' : String(held));
  const hint = useId();
  const value = parseField(rule, text);
  const onInput = (typed: string) => {
    setText(typed);
    const parsed = parseField(rule, typed);
    sampling.value = withField(sampling.value, rule.name, parsed ?? undefined);
  };
  let advice = t(rule.hint);
  if (value === null) {
    advice =
      rule.high === undefined
        ? t('atLeast', { low: rule.low })
        : t('outOfRange', { low: rule.low, high: rule.high });
  }
  return (
    <label class="field">
      <span>{t(rule.label)}</span>
      <input
        type="text"
        inputMode={rule.low < 0 ? 'text' : rule.whole ? 'numeric' : 'decimal'}
        autocomplete="off"
        value={text}
        aria-invalid={value === null}
        aria-describedby={hint}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      <small id={hint} class={value === null ? 'wrong' : ''}>
        {advice}
      </small>
    </label>
  );
}

/** Keeps what was typed: give it another key to read the settings anew. */
export function SamplingFields() {
  return (
    <div class="grid-fields">
      {RULES.map((rule) => (
        <NumberInput key={rule.name} rule={rule} />
      ))}
      <label class="field wide">
        <span>{t('stopTexts')}</span>
        <textarea
          rows={2}
          value={sampling.value.stop?.join('\n') ?? ''}
          onChange={(event) => {
            sampling.value = withStops(sampling.value, event.currentTarget.value);
          }}
        />
        <small>{t('stopTextsHint')}</small>
      </label>
    </div>
  );
}
