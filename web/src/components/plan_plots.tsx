import type { PlannedDeployment } from '../api/plan';
import { language, t } from '../i18n';
import { bytes, percent } from '../lib/format';
import { LogPlot, type Curve } from './log_plot';

const PARTS = [
  { part: 'weights', text: 'planWeights' },
  { part: 'cache', text: 'cache' },
  { part: 'activations', text: 'planActivations' },
  { part: 'program', text: 'planProgram' },
] as const;

function nameOf({ title, precision, placement }: PlannedDeployment): string {
  return `${title} ${precision}, ${placement}`;
}

function Card({ title, note, curves }: { title: string; note: string; curves: Curve[] }) {
  return (
    <section class="card plot-card">
      <header>
        <h2>{title}</h2>
        <small>{note}</small>
      </header>
      <LogPlot label={title} curves={curves} />
    </section>
  );
}

function MemoryCard({ deployments }: { deployments: PlannedDeployment[] }) {
  const lang = language.value;
  return (
    <section class="card plot-card">
      <header>
        <h2>{t('planMemoryPlot')}</h2>
      </header>
      <ul class="memory-bars">
        {deployments.map((row) => (
          <li>
            <span>
              {nameOf(row)}: {bytes(lang, row.memory_bytes)} / {bytes(lang, row.memory.device)}
            </span>
            <div class="memory-bar" aria-hidden="true">
              {PARTS.map(({ part }, i) => (
                <i
                  class={`part-${i + 1}`}
                  style={{ width: `${(100 * row.memory[part]) / row.memory.device}%` }}
                />
              ))}
            </div>
          </li>
        ))}
      </ul>
      <ul class="legend">
        {PARTS.map(({ part, text }, i) => (
          <li>
            <i class={`swatch part-${i + 1}`} />
            {t(text)}{' '}
            <b>
              {percent(
                lang,
                (deployments[0]?.memory[part] ?? 0) / (deployments[0]?.memory_bytes ?? 1),
              )}
            </b>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function PlanPlots({ deployments }: { deployments: PlannedDeployment[] }) {
  const shown = deployments.filter(({ curves }) => curves);
  const cost = shown.map((row) => ({
    name: nameOf(row),
    points: row.curves?.usd_a_month_over_requests ?? [],
  }));
  const latency = shown.map((row) => ({
    name: nameOf(row),
    points: (row.curves?.ms_over_load ?? []).map(([rate, ttft]): [number, number] => [rate, ttft]),
  }));
  return (
    <>
      <ul class="legend plan-legend">
        {shown.map((row, i) => (
          <li>
            <i class={`swatch part-${i + 1}`} />
            {nameOf(row)}
          </li>
        ))}
      </ul>
      <div class="plots">
        <Card title={t('planCostPlot')} note={t('planCostAxis')} curves={cost} />
        <Card title={t('planLatencyPlot')} note={t('planLatencyAxis')} curves={latency} />
        <MemoryCard deployments={shown} />
      </div>
    </>
  );
}
