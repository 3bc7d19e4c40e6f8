// Curves over two logarithmic axes, as a picture with a text.
import { language } from '../i18n';
import { compact } from '../lib/format';
import { axisOf, powersOf, shareOf } from '../lib/log_scale';

export interface Curve {
  name: string;
  points: [number, number][];
}

const WIDTH = 480;
const HEIGHT = 220;
const LEFT = 46;
const BOTTOM = 24;
const TOP = 8;
const RIGHT = 12;

export function LogPlot({ label, curves }: { label: string; curves: Curve[] }) {
  const lang = language.value;
  const all = curves.flatMap(({ points }) => points);
  const across = axisOf(all.map(([x]) => x));
  const up = axisOf(all.map(([, y]) => y));
  const x = (value: number) => LEFT + (WIDTH - LEFT - RIGHT) * shareOf(across, value);
  const y = (value: number) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * shareOf(up, value);
  return (
    <svg
      class="log-plot"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`${label}: ${curves.map(({ name }) => name).join(', ')}`}
    >
      {powersOf(across).map((power) => (
        <>
          <line x1={x(power)} x2={x(power)} y1={TOP} y2={HEIGHT - BOTTOM} />
          <text x={x(power)} y={HEIGHT - 8} text-anchor="middle">
            {compact(lang, power)}
          </text>
        </>
      ))}
      {powersOf(up).map((power) => (
        <>
          <line x1={LEFT} x2={WIDTH - RIGHT} y1={y(power)} y2={y(power)} />
          <text x={LEFT - 6} y={y(power) + 4} text-anchor="end">
            {compact(lang, power)}
          </text>
        </>
      ))}
      {curves.map(({ points }, i) => (
        <polyline
          class={`curve-${i + 1}`}
          points={points
            .filter(([, value]) => value > 0)
            .map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`)
            .join(' ')}
        />
      ))}
    </svg>
  );
}
