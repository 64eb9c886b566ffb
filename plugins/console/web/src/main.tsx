import { render } from 'preact';
import { gateway } from './app';
import { obstacle } from './gateway/identity';
import { takeCode } from './gateway/link';
import { Layout } from './ui/layout';
import { applyTheme } from './ui/theme';
import './style/base.css';
import './style/frame.css';
import './style/parts.css';
import './style/pages.css';
import './style/chat.css';

applyTheme();
const code = takeCode();
const why = obstacle();
render(<Layout obstacle={why} />, document.getElementById('app')!);

if (why === undefined) {
  void gateway.start(code);
  // A one-time link that is pasted into a tab which is open already.
  window.addEventListener('hashchange', () => {
    const link = location.href;
    if (takeCode() !== undefined) gateway.signIn(link);
  });
}
