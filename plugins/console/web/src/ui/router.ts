/** Where one is: behind `#/` in the address, so that the page works below any path without the server's help. */
import { signal } from '@preact/signals';
import { decoded } from '../gateway/link';

export interface Place {
  page: string;
  /** What follows the page's name. */
  rest: string;
}

export const place = signal<Place>(read());

window.addEventListener('hashchange', () => {
  place.value = read();
});

export function href(page: string, rest = ''): string {
  return `#/${page}${rest === '' ? '' : `/${encodeURIComponent(rest)}`}`;
}

export function go(page: string, rest = ''): void {
  location.hash = href(page, rest);
}

function read(): Place {
  const [page = '', ...rest] = location.hash.replace(/^#\/?/, '').split('/');
  return { page, rest: decoded(rest.join('/')) };
}
