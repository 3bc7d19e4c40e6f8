/** The address if it is one that a model's answer may link to: no javascript:, no data:. */
export function safeLink(address: string): string | null {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return null; // relative: it would lead into this page
  }
  return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
}
