import type { PlannedDeployment, RuledOut } from '../api/plan';
import { language, t } from '../i18n';
import { bytes, dollars, duration, percent } from '../lib/format';

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
  ];
  const commands = deployments.filter(({ command }) => command !== '');
  return (
    <>
      <section class="card table-scroll" tabIndex={0} aria-label={t('planRanking')}>
        <table class="usage-table">
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
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {commands[0] ? (
        <p class="hint plan-command">
          {t('planCommand')}: <code>{commands[0].command}</code>
        </p>
      ) : null}
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
