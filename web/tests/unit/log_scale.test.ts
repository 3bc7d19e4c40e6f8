import { expect, test } from 'vitest';
import { axisOf, positionOf, powersOf, shareOf, valueAt } from '../../src/lib/log_scale';

test('sliders go from power of ten to power of ten and back', () => {
  expect(valueAt(0, 0.01, 12)).toBe(0.01);
  expect(valueAt(24, 0.01, 12)).toBe(1);
  expect(valueAt(60, 0.01, 12)).toBe(1000);
  for (let position = 0; position <= 60; ++position) {
    expect(positionOf(valueAt(position, 0.01, 12), 0.01, 12)).toBe(position);
  }
});

test('axes are widened to powers of ten and take no zero', () => {
  expect(axisOf([0, 3, 250])).toEqual({ from: 0, to: 3 });
  expect(axisOf([10, 1000])).toEqual({ from: 1, to: 3 });
  expect(axisOf([5])).toEqual({ from: 0, to: 1 });
  expect(axisOf([100])).toEqual({ from: 2, to: 3 });
  expect(axisOf([])).toEqual({ from: 0, to: 1 });
  expect(shareOf({ from: 0, to: 2 }, 10)).toBeCloseTo(0.5);
  expect(powersOf({ from: -1, to: 1 })).toEqual([0.1, 1, 10]);
});
