// Colours of the stylesheet for a canvas, which does not know its variables.

export const SERIES = ['--series-1', '--series-2'] as const;

/** What the variables are now, in the theme that is shown. */
export function coloursOf(names: readonly string[]): string[] {
  const probes = names.map((name) => {
    const probe = document.createElement('span');
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    return probe;
  });
  const colours = probes.map((probe) => getComputedStyle(probe).color);
  probes.forEach((probe) => probe.remove());
  return colours;
}
