import { useEffect, useRef } from 'preact/hooks';
import { ChatPage } from './components/chat_page';
import { Header } from './components/header';
import { later } from './components/later';
import { Settings } from './components/settings';
import { t } from './i18n';
import { route } from './state/route';

// Plots are not needed to chat.
const DashboardPage = later(() =>
  import('./components/dashboard_page').then((m) => m.DashboardPage),
);
const UsagePage = later(() => import('./components/usage_page').then((m) => m.UsagePage));
const PlanPage = later(() => import('./components/plan_page').then((m) => m.PlanPage));

const PAGES = { chat: ChatPage, dashboard: DashboardPage, usage: UsagePage, plan: PlanPage };

export function App() {
  const settings = useRef<HTMLDialogElement>(null);
  const Page = PAGES[route.value];
  const title = t(route.value);
  useEffect(() => {
    document.title = `${title} · Fathom`;
  }, [title]);
  const skip = (event: Event) => {
    event.preventDefault(); // the address's part after # says which page is shown
    document.getElementById('main')?.focus();
  };
  return (
    <>
      <a class="skip-link" href="#main" onClick={skip}>
        {t('skip')}
      </a>
      <Header openSettings={() => settings.current?.showModal()} />
      <main id="main" tabIndex={-1} class={`page-${route.value}`}>
        <Page />
      </main>
      <Settings dialog={settings} />
    </>
  );
}
