import { useEffect, useState } from 'preact/hooks';
import { makePlan, type Plan, type PlanWishes } from '../api/plan';
import { language, t } from '../i18n';
import { duration, integer } from '../lib/format';
import { needsKey, noticeError } from '../state/server';
import { apiKey } from '../state/settings';
import { KeyForm } from './key_form';
import { PlanPlots } from './plan_plots';
import { PlanTable, RuledOutTable } from './plan_tables';
import { PlanWishesForm } from './plan_wishes';
import { describe } from './problem';

const AT_FIRST: PlanWishes = {
  requests_per_second: 1,
  prompt_tokens: 500,
  output_tokens: 200,
  ttft_ms: 2200,
  itl_ms: 100,
  usd_per_hour: 0,
  on_premises: false,
  by: 'cost',
};
const PAUSE_MS = 40; // after the last movement of a slider

export function PlanPage() {
  const [wishes, setWishes] = useState(AT_FIRST);
  const [plan, setPlan] = useState<Plan | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const key = apiKey.value;
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      makePlan(wishes, abort.signal).then(
        (made) => {
          setPlan(made);
          setProblem(null);
        },
        (error: unknown) => {
          if (abort.signal.aborted) return;
          noticeError(error);
          setProblem(error);
        },
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [wishes, key]);
  const lang = language.value;
  const change = (part: Partial<PlanWishes>) => setWishes((before) => ({ ...before, ...part }));
  const status = plan
    ? t('planOf', {
        able: integer(lang, plan.able),
        candidates: integer(lang, plan.candidates),
        time: duration(lang, plan.milliseconds / 1000),
      })
    : t('loading');
  return (
    <div class="wide-page">
      <header class="page-header">
        <div>
          <h1>{t('plan')}</h1>
          <p class="hint">{t('planIntro')}</p>
        </div>
      </header>
      {needsKey.value ? <KeyForm /> : null}
      <PlanWishesForm wishes={wishes} change={change} />
      {problem && !needsKey.value ? (
        <p class="problem" role="alert">
          {describe(problem)}
        </p>
      ) : (
        <p class="hint" role="status">
          {plan && plan.able === 0 ? t('planNone') : status}
        </p>
      )}
      {plan && plan.deployments.length > 0 ? (
        <>
          <PlanTable deployments={plan.deployments} />
          <PlanPlots deployments={plan.deployments} />
        </>
      ) : null}
      {plan && plan.ruled_out.length > 0 ? <RuledOutTable rows={plan.ruled_out} /> : null}
    </div>
  );
}
