// Logarithmic scales: of sliders, whose positions are whole numbers, and of plots.

/** The value at a slider's position: `perDecade` steps for each power of ten, to two digits. */
export function valueAt(position: number, lowest: number, perDecade: number): number {
  return Number((lowest * 10 ** (position / perDecade)).toPrecision(2));
}

export function positionOf(value: number, lowest: number, perDecade: number): number {
  return Math.round(Math.log10(value / lowest) * perDecade);
}

export interface LogAxis {
  from: number; // exponents of ten
  to: number;
}

/** The powers of ten around all positive values; at least one decade. */
export function axisOf(values: readonly number[]): LogAxis {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return { from: 0, to: 1 };
  const from = Math.floor(Math.log10(Math.min(...positive)) + 1e-9);
  const to = Math.ceil(Math.log10(Math.max(...positive)) - 1e-9);
  return { from, to: Math.max(to, from + 1) };
}

/** 0 at the axis's beginning, 1 at its end. */
export function shareOf(axis: LogAxis, value: number): number {
  return (Math.log10(value) - axis.from) / (axis.to - axis.from);
}

export function powersOf(axis: LogAxis): number[] {
  return Array.from({ length: axis.to - axis.from + 1 }, (_, i) => 10 ** (axis.from + i));
}
