import type { UsageRow } from '../api/usage';
import { language, t } from '../i18n';
import { dollars, duration, integer } from '../lib/format';

export function UsageTable({ rows, priced }: { rows: readonly UsageRow[]; priced: boolean }) {
  const lang = language.value;
  return (
    <section class="card table-scroll" tabIndex={0} aria-label={t('usageIntro')}>
      <table class="usage-table">
        <thead>
          <tr>
            <th scope="col">{t('day')}</th>
            <th scope="col">{t('keyName')}</th>
            <th scope="col">{t('model')}</th>
            <th scope="col" class="number">
              {t('requests')}
            </th>
            <th scope="col" class="number">
              {t('promptTokensHead')}
            </th>
            <th scope="col" class="number">
              {t('cachedTokensHead')}
            </th>
            <th scope="col" class="number">
              {t('answerTokensHead')}
            </th>
            <th scope="col" class="number">
              {t('firstTokenHead')}
            </th>
            {priced ? (
              <th scope="col" class="number">
                {t('cost')}
              </th>
            ) : null}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>
              <td>{row.day}</td>
              <td>{row.key || t('noKey')}</td>
              <td>{row.model}</td>
              <td class="number">{integer(lang, row.requests)}</td>
              <td class="number">{integer(lang, row.prompt_tokens)}</td>
              <td class="number">{integer(lang, row.cached_tokens)}</td>
              <td class="number">{integer(lang, row.completion_tokens)}</td>
              <td class="number">{duration(lang, row.first_token_seconds)}</td>
              {priced ? <td class="number">{dollars(lang, row.cost_usd)}</td> : null}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
