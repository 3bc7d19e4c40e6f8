import { useEffect, useMemo, useState } from 'preact/hooks';
import type uPlot from 'uplot';
import { ApiError } from '../api/client';
import { readUsage, type Usage } from '../api/usage';
import { language, t } from '../i18n';
import { compact, dollars, integer, percent } from '../lib/format';
import { byDay } from '../lib/usage_days';
import { needsKey, noticeError } from '../state/server';
import { apiKey } from '../state/settings';
import { KeyForm } from './key_form';
import { Plot } from './plot';
import { describe } from './problem';
import { Tile } from './tile';
import { UsageTable } from './usage_table';

const PERIODS = [7, 30, 90];

function UsagePlots({ usage, days }: { usage: Usage; days: number }) {
  const lang = language.value;
  const { tokens, costs } = useMemo(() => {
    const all = byDay(usage.data, days, Date.now() / 1000);
    const times = all.map(({ time }) => time);
    return {
      // Stacked: the taller bars are drawn first.
      tokens: [
        times,
        all.map(({ prompt, answer }) => prompt + answer),
        all.map(({ answer }) => answer),
      ] as uPlot.AlignedData,
      costs: [times, all.map(({ cost }) => cost)] as uPlot.AlignedData,
    };
  }, [usage, days]);
  return (
    <div class="plots">
      <section class="card plot-card">
        <header>
          <h2>{t('tokensByDay')}</h2>
        </header>
        <Plot
          data={tokens}
          days
          label={t('tokensByDay')}
          format={(value) => compact(lang, value)}
        />
        <ul class="legend">
          <li>
            <i class="swatch series-1" />
            {t('tokensOfPrompts')}
          </li>
          <li>
            <i class="swatch series-2" />
            {t('tokensOfAnswers')}
          </li>
        </ul>
      </section>
      {usage.total.cost_usd > 0 ? (
        <section class="card plot-card">
          <header>
            <h2>{t('costByDay')}</h2>
          </header>
          <Plot data={costs} days label={t('costByDay')} format={(value) => dollars(lang, value)} />
        </section>
      ) : null}
    </div>
  );
}

function Sums({ usage }: { usage: Usage }) {
  const lang = language.value;
  const { total } = usage;
  return (
    <dl class="tiles" aria-label={t('total')}>
      <Tile name={t('requests')} value={integer(lang, total.requests)} />
      <Tile name={t('promptTokensHead')} value={compact(lang, total.prompt_tokens)} />
      <Tile name={t('cachedTokensHead')} value={compact(lang, total.cached_tokens)} />
      <Tile name={t('answerTokensHead')} value={compact(lang, total.completion_tokens)} />
      <Tile name={t('cancelledHead')} value={integer(lang, total.cancelled)} />
      <Tile name={t('failedHead')} value={integer(lang, total.failed)} />
      {total.routed ? (
        <Tile
          name={t('keptByLite')}
          value={percent(lang, (total.kept_by_lite ?? 0) / total.routed)}
        />
      ) : null}
      {total.saved_usd ? <Tile name={t('saved')} value={dollars(lang, total.saved_usd)} /> : null}
      {total.cost_usd > 0 ? <Tile name={t('cost')} value={dollars(lang, total.cost_usd)} /> : null}
    </dl>
  );
}

export function UsagePage() {
  const [days, setDays] = useState(30);
  const [usage, setUsage] = useState<Usage | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const key = apiKey.value;
  useEffect(() => {
    let current = true;
    readUsage(days).then(
      (read) => {
        if (!current) return;
        setUsage(read);
        setProblem(null);
      },
      (error: unknown) => {
        if (!current) return;
        noticeError(error);
        setProblem(error);
      },
    );
    return () => {
      current = false;
    };
  }, [days, key]);
  const noLedger = problem instanceof ApiError && problem.code === 'no_ledger';
  return (
    <div class="wide-page">
      <header class="page-header">
        <div>
          <h1>{t('usage')}</h1>
          <p class="hint">{t('usageIntro')}</p>
        </div>
        <label class="inline-field">
          <span class="visually-hidden">{t('period')}</span>
          <select value={days} onChange={(event) => setDays(Number(event.currentTarget.value))}>
            {PERIODS.map((period) => (
              <option value={period}>{t('lastDays', { days: period })}</option>
            ))}
          </select>
        </label>
      </header>
      {needsKey.value ? <KeyForm /> : null}
      {problem && !needsKey.value ? (
        <p class="problem" role="alert">
          {noLedger ? t('noLedger') : describe(problem)}
        </p>
      ) : null}
      {usage && !problem ? (
        <>
          <Sums usage={usage} />
          {usage.data.length === 0 ? (
            <p class="note">{t('noUsage')}</p>
          ) : (
            <>
              <UsagePlots usage={usage} days={days} />
              <UsageTable rows={usage.data} priced={usage.total.cost_usd > 0} />
            </>
          )}
        </>
      ) : null}
    </div>
  );
}
