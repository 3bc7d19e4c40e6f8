// Before the first paint, so that a chosen theme does not flash up in the other colours.
try {
  const theme = JSON.parse(localStorage.getItem('fathom.theme'));
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's theme holds.
}
