import type { PlannedDeployment, PlanQuality, RuledOut } from '../api/plan';
import { language, t } from '../i18n';
import { bytes, decimal, dollars, duration, percent } from '../lib/format';

function Heads({ texts, numbersFrom }: { texts: string[]; numbersFrom: number }) {
  return (
    <thead>
      <tr>
        {texts.map((text, i) => (
          <th scope="col" class={i >= numbersFrom ? 'number' : undefined}>
            {text}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function Quality({ quality }: { quality: PlanQuality | null }) {
  if (quality === null) return <>{t('planUnknown')}</>;
  const how = quality.measured ? t('planMeasured', { date: quality.date ?? '' }) : t('planClaimed');
  return (
    <>
      {decimal(language.value, quality.score)}{' '}
      <small>
        {quality.benchmark}, {how}
      </small>
    </>
  );
}

/** How to run the first of the ranking that this program can run. */
function Commands({ row }: { row: PlannedDeployment }) {
  return (
    <div class="hint plan-command">
      <p>{t('planRun', { what: `${row.title} ${row.precision}, ${row.placement}` })}</p>
      {[...row.prepare, row.command].map((command) => (
        <code>{command}</code>
      ))}
    </div>
  );
}

export function PlanTable({ deployments }: { deployments: PlannedDeployment[] }) {
  const lang = language.value;
  const heads = [
    t('model'),
    t('planHardware'),
    t('planBound'),
    t('planMillion'),
    t('planFirst'),
    t('planBetween'),
    t('planBusy'),
    t('planMemory'),
    t('planQuality'),
  ];
  const runnable = deployments.find(({ command }) => command !== '');
  return (
    <>
      <section class="card table-scroll" tabIndex={0} aria-label={t('planRanking')}>
        <table class="usage-table plan-table">
          <Heads texts={heads} numbersFrom={3} />
          <tbody>
            {deployments.map((row) => (
              <tr key={`${row.title} ${row.precision} ${row.placement}`}>
                <th scope="row">
                  {row.title} <small>{row.precision}</small>
                </th>
                <td>{row.placement}</td>
                <td>{row.bound_by}</td>
                <td class="number">
                  {row.usd_per_million_requests === null
                    ? t('planUnknown')
                    : dollars(lang, row.usd_per_million_requests)}
                </td>
                <td class="number">{duration(lang, row.ttft_ms.p90 / 1000)}</td>
                <td class="number">{duration(lang, row.itl_ms.p90 / 1000)}</td>
                <td class="number">{percent(lang, row.utilisation)}</td>
                <td class="number">{bytes(lang, row.memory_bytes)}</td>
                <td class="number">
                  <Quality quality={row.quality} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {runnable ? <Commands row={runnable} /> : null}
    </>
  );
}

export function RuledOutTable({ rows }: { rows: RuledOut[] }) {
  return (
    <details class="card plan-out">
      <summary>{t('planRuledOut')}</summary>
      <div class="table-scroll" tabIndex={0} role="region" aria-label={t('planRuledOut')}>
        <table class="usage-table">
          <Heads texts={[t('model'), t('planHardware'), t('planWhy')]} numbersFrom={3} />
          <tbody>
            {rows.map((row) => (
              <tr>
                <th scope="row">
                  {row.title} <small>{row.precision}</small>
                </th>
                <td>{row.placement}</td>
                <td class="wraps">{row.reason}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
