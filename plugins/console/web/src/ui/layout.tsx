/** The frame around all pages: where one can go, how the connection is doing, and the page itself. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { gateway, hello, isListed, isOpen, may } from '../app';
import { pages, type Page } from '../pages';
import { Connect } from '../pages/connect';
import { Connection } from './connection';
import { href, place } from './router';
import { nextTheme, theme } from './theme';

export function Layout({ obstacle }: { obstacle: string | undefined }) {
  const state = gateway.state.value.name;
  const isOutside = obstacle !== undefined || !hello.value || state === 'signed-out' || state === 'pairing';
  const offered = isOutside ? [] : pages.filter(isOffered);
  const page = pages.find(({ id }) => id === place.value.page) ?? (isListed.value ? offered[0] : undefined);

  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header class="bar">
        <span class="brand">clawhost</span>
        <Connection />
        <button type="button" class="quiet-button" onClick={nextTheme}>
          Theme: {theme.value}
        </button>
      </header>
      <div class={isOutside ? 'outside' : 'inside'}>
        {!isOutside && <Navigation offered={offered} current={page} />}
        <main id="main" tabIndex={-1}>
          {isOutside ? <Connect obstacle={obstacle} /> : page && <Shown page={page} />}
        </main>
      </div>
    </>
  );
}

/** A page is offered where something on it can be used. What the gateway serves is known a moment after it is open. */
function isOffered(page: Page): boolean {
  return page.needs.length === 0 || page.needs.some(may);
}

function Navigation({ offered, current }: { offered: Page[]; current: Page | undefined }) {
  const [isOpenOnPhone, setOpen] = useState(false);
  return (
    <nav class="nav" aria-label="Pages">
      <button
        type="button"
        class="menu"
        aria-expanded={isOpenOnPhone}
        aria-controls="pages"
        onClick={() => setOpen(!isOpenOnPhone)}
      >
        {current?.title ?? 'Pages'} <span aria-hidden="true">▾</span>
      </button>
      <ul id="pages" class={isOpenOnPhone ? 'is-open' : ''}>
        {offered.map((page) => (
          <li key={page.id}>
            <a href={href(page.id)} aria-current={page === current ? 'page' : undefined} onClick={() => setOpen(false)}>
              {page.title}
              {page.count && <page.count />}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Shown({ page }: { page: Page }) {
  const title = useRef<HTMLHeadingElement>(null);
  const opened = useRef(place.value.page);
  useEffect(() => {
    document.title = `${page.title} – clawhost`;
    // Who came here by a link is told where they are; who has just opened the page is left where they were.
    if (opened.current !== place.value.page) title.current?.focus();
    opened.current = place.value.page;
  }, [page]);
  const isMissing = isOpen.value && !isOffered(page);
  return (
    <div class={`page page-${page.id}`}>
      <h1 ref={title} tabIndex={-1}>
        {page.title}
      </h1>
      {isMissing ? <Missing page={page} /> : <page.body />}
    </div>
  );
}

function Missing({ page }: { page: Page }) {
  return (
    <p class="empty">
      Nothing of this page can be used here: its plugin is not enabled, or your rights do not reach that far. It takes
      one of {page.needs.join(', ')}.
    </p>
  );
}

function skip(event: Event): void {
  // The address is where one is on this page, so it is not touched.
  event.preventDefault();
  document.getElementById('main')?.focus();
}
