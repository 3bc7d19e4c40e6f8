import { render } from 'preact';
import { App } from './app';
import './styles/base.css';
import './styles/shell.css';
import './styles/chat.css';
import './styles/markdown.css';
import './styles/forms.css';
import './styles/figures.css';
import './styles/plan.css';

const root = document.getElementById('app');
if (root) render(<App />, root);
