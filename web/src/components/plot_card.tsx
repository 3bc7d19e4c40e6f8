import type uPlot from 'uplot';
import { t } from '../i18n';
import { NOTHING } from '../lib/format';
import { Plot } from './plot';

export interface Series {
  name: string;
  values: (number | null)[];
}

interface Props {
  title: string;
  note?: string;
  times: number[];
  series: Series[];
  format: (value: number) => string;
  top?: number;
}

/** A plot with its title, and a legend that holds the latest values. */
export function PlotCard({ title, note, times, series, format, top }: Props) {
  const latest = series.map(({ name, values }) => {
    const value = values.at(-1) ?? null;
    return { name, text: value === null ? NOTHING : format(value) };
  });
  const label = t('plotOf', {
    title,
    values: latest.map(({ name, text }) => `${name} ${text}`).join(', '),
  });
  const data = [times, ...series.map(({ values }) => values)] as uPlot.AlignedData;
  return (
    <section class="card plot-card">
      <header>
        <h2>{title}</h2>
        {note ? <small>{note}</small> : null}
      </header>
      <Plot data={data} label={label} format={format} {...(top === undefined ? {} : { top })} />
      <ul class="legend">
        {latest.map(({ name, text }, i) => (
          <li>
            <i class={`swatch series-${i + 1}`} />
            {name} <b>{text}</b>
          </li>
        ))}
      </ul>
    </section>
  );
}
