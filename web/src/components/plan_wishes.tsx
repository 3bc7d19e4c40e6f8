import { useId } from 'preact/hooks';
import type { PlanWishes, RankBy } from '../api/plan';
import { language, t } from '../i18n';
import { decimal, dollars, duration, integer } from '../lib/format';
import { positionOf, valueAt } from '../lib/log_scale';

interface SliderProps {
  name: string;
  value: number;
  lowest: number;
  decades: number;
  text: string;
  /** The last position means that there is no such wish (0). */
  open?: boolean;
  onInput: (value: number) => void;
}

const PER_DECADE = 12;

function Slider({ name, value, lowest, decades, text, open, onInput }: SliderProps) {
  const id = useId();
  const last = decades * PER_DECADE + (open ? 1 : 0);
  const at = open && value === 0 ? last : positionOf(value, lowest, PER_DECADE);
  const move = (position: number) =>
    onInput(open && position === last ? 0 : valueAt(position, lowest, PER_DECADE));
  return (
    <div class="slider">
      <label for={id}>{name}</label>
      <output for={id}>{text}</output>
      <input
        id={id}
        type="range"
        min={0}
        max={last}
        value={at}
        aria-valuetext={text}
        onInput={(event) => move(Number(event.currentTarget.value))}
      />
    </div>
  );
}

const ORDERS: { by: RankBy; text: 'planByCost' | 'planByLatency' | 'planByQuality' }[] = [
  { by: 'cost', text: 'planByCost' },
  { by: 'latency', text: 'planByLatency' },
  { by: 'quality', text: 'planByQuality' },
];

interface Props {
  wishes: PlanWishes;
  change: (part: Partial<PlanWishes>) => void;
}

export function PlanWishesForm({ wishes, change }: Props) {
  const lang = language.value;
  const limit = (ms: number) => (ms === 0 ? t('planAny') : duration(lang, ms / 1000));
  const tokens = (count: number) => t('tokens', { count: integer(lang, count) });
  return (
    <form class="card plan-wishes" aria-label={t('planWishes')}>
      <Slider
        name={t('planLoad')}
        value={wishes.requests_per_second}
        lowest={0.01}
        decades={5}
        text={t('planLoadValue', { rate: decimal(lang, wishes.requests_per_second) })}
        onInput={(requests_per_second) => change({ requests_per_second })}
      />
      <Slider
        name={t('planPrompt')}
        value={wishes.prompt_tokens}
        lowest={10}
        decades={4}
        text={tokens(wishes.prompt_tokens)}
        onInput={(prompt_tokens) => change({ prompt_tokens })}
      />
      <Slider
        name={t('planOutput')}
        value={wishes.output_tokens}
        lowest={1}
        decades={4}
        text={tokens(wishes.output_tokens)}
        onInput={(output_tokens) => change({ output_tokens })}
      />
      <Slider
        name={t('planTtft')}
        value={wishes.ttft_ms}
        lowest={10}
        decades={4}
        open
        text={limit(wishes.ttft_ms)}
        onInput={(ttft_ms) => change({ ttft_ms })}
      />
      <Slider
        name={t('planItl')}
        value={wishes.itl_ms}
        lowest={1}
        decades={3}
        open
        text={limit(wishes.itl_ms)}
        onInput={(itl_ms) => change({ itl_ms })}
      />
      <Slider
        name={t('planBudget')}
        value={wishes.usd_per_hour}
        lowest={0.01}
        decades={5}
        open
        text={
          wishes.usd_per_hour === 0
            ? t('planAny')
            : t('planAnHour', { cost: dollars(lang, wishes.usd_per_hour) })
        }
        onInput={(usd_per_hour) => change({ usd_per_hour })}
      />
      <fieldset class="choices">
        <legend>{t('planBy')}</legend>
        {ORDERS.map(({ by, text }) => (
          <label>
            <input
              type="radio"
              name="plan-by"
              checked={wishes.by === by}
              onChange={() => change({ by })}
            />
            <span>{t(text)}</span>
          </label>
        ))}
      </fieldset>
      <label class="check">
        <input
          type="checkbox"
          checked={wishes.on_premises}
          onChange={(event) => change({ on_premises: event.currentTarget.checked })}
        />
        {t('planOnPremises')}
      </label>
    </form>
  );
}
