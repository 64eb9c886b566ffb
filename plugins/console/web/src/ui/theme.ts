/** Light or dark: the system's choice unless somebody chose. */
import { signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const KEY = 'theme';
const themes: Theme[] = ['system', 'light', 'dark'];

export const theme = signal<Theme>(read());

export function applyTheme(): void {
  document.documentElement.dataset.theme = theme.value;
}

export function nextTheme(): void {
  theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length] ?? 'system';
  localStorage.setItem(KEY, theme.value);
  applyTheme();
}

function read(): Theme {
  const kept = localStorage.getItem(KEY) as Theme | null;
  return kept !== null && themes.includes(kept) ? kept : 'system';
}
