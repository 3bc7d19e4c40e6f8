// A plot over time by uPlot. The canvas is a picture with a text; the numbers themselves stand in
// the legend beside it.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { language } from '../i18n';
import { coloursOf, SERIES } from '../lib/colours';
import { dark } from '../state/dark';

export interface PlotProps {
  /** Seconds since 1970, then each series; null where there is nothing. */
  data: uPlot.AlignedData;
  label: string;
  /** Of the values beside the axis. */
  format: (value: number) => string;
  /** Bars of one day each, stacked as given, instead of lines. */
  days?: boolean;
  height?: number;
  /** The least upper end of the axis. */
  top?: number;
}

const AXIS_WIDTH = 58;
const FONT = '11px system-ui, sans-serif';
const DAY = 86_400;
const MINUTE = 60;

function seriesOf(count: number, colours: string[], days: boolean): uPlot.Series[] {
  const bars = uPlot.paths.bars?.({ size: [0.7, 28], radius: 0.15 });
  return Array.from({ length: count }, (_, i) => {
    const colour = colours[i] ?? '#888';
    const look: uPlot.Series = days
      ? { fill: colour, width: 0, ...(bars ? { paths: bars } : {}) }
      : { stroke: colour, width: 1.75, ...(i === 0 ? { fill: wash(colour) } : {}) };
    return { ...look, points: { show: false }, spanGaps: false };
  });
}

function wash(colour: string): string {
  return colour.replace('rgb(', 'rgba(').replace(')', ', 0.1)');
}

function optionsFor(props: PlotProps, width: number): uPlot.Options {
  const colours = coloursOf([...SERIES, '--muted', '--line']);
  const text = colours[2] ?? '#888';
  const line = colours[3] ?? '#ccc';
  const axis: uPlot.Axis = {
    stroke: text,
    font: FONT,
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
  };
  const times = new Intl.DateTimeFormat(
    language.value,
    props.days
      ? { month: 'numeric', day: 'numeric', timeZone: 'UTC' }
      : { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
  );
  return {
    width,
    height: props.height ?? 150,
    padding: [8, 24, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: {
        time: true,
        range: (_plot, low, high) =>
          props.days ? [low - DAY / 2, high + DAY / 2] : [Math.min(low, high - MINUTE), high],
      },
      y: {
        range: (_plot, _low, high) => [0, Math.max(high ?? 0, props.top ?? 0) * 1.1 || 1],
      },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 70,
        size: 26,
        ...(props.days ? { incrs: [DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY] } : {}),
        values: (_plot, splits) => splits.map((at) => times.format(at * 1000)),
      },
      {
        ...axis,
        size: AXIS_WIDTH,
        space: 34,
        values: (_plot, splits) => splits.map((value) => props.format(value)),
      },
    ],
    series: [{}, ...seriesOf(props.data.length - 1, colours, props.days ?? false)],
  };
}

export function Plot(props: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const look = `${dark.value} ${language.value} ${props.data.length} ${props.days ?? false}`;

  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const made = new uPlot(
      optionsFor(latest.current, element.clientWidth),
      latest.current.data,
      element,
    );
    plot.current = made;
    const sizes = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height: latest.current.height ?? 150 });
    });
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [look]);

  useEffect(() => {
    plot.current?.setData(props.data);
  }, [props.data]);

  return <div class="plot" ref={place} role="img" aria-label={props.label} />;
}
