import { language, t } from '../i18n';
import { route, ROUTES, type Route } from '../state/route';
import { theme, THEMES } from '../state/settings';
import {
  AutoThemeIcon,
  ChatIcon,
  DashboardIcon,
  Mark,
  MoonIcon,
  PlanIcon,
  SettingsIcon,
  SunIcon,
  UsageIcon,
} from './icons';

const ICONS: Record<Route, () => preact.JSX.Element> = {
  chat: ChatIcon,
  dashboard: DashboardIcon,
  usage: UsageIcon,
  plan: PlanIcon,
};

const THEME_ICONS = { auto: AutoThemeIcon, light: SunIcon, dark: MoonIcon };
const THEME_NAMES = { auto: 'themeAuto', light: 'themeLight', dark: 'themeDark' } as const;

function Sections() {
  return (
    <nav class="sections" aria-label={t('sections')}>
      {ROUTES.map((name) => {
        const Icon = ICONS[name];
        return (
          <a href={`#${name}`} aria-current={route.value === name ? 'page' : undefined}>
            <Icon />
            <span>{t(name)}</span>
          </a>
        );
      })}
    </nav>
  );
}

function ThemeButton() {
  const Icon = THEME_ICONS[theme.value];
  const label = `${t('theme')}: ${t(THEME_NAMES[theme.value])}`;
  const next = () => {
    theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'auto';
  };
  return (
    <button type="button" class="quiet icon-only" aria-label={label} title={label} onClick={next}>
      <Icon />
    </button>
  );
}

function LanguageButton() {
  const other = language.value === 'en' ? 'zh' : 'en';
  return (
    <button
      type="button"
      class="quiet language"
      lang={other === 'zh' ? 'zh-Hans' : 'en'}
      aria-label={t('switchLanguage')}
      title={t('switchLanguage')}
      onClick={() => (language.value = other)}
    >
      {other === 'zh' ? '中' : 'En'}
    </button>
  );
}

export function Header({ openSettings }: { openSettings: () => void }) {
  return (
    <header class="header">
      <a class="brand" href="#chat">
        <Mark />
        <span>Fathom</span>
      </a>
      <Sections />
      <div class="tools">
        <LanguageButton />
        <ThemeButton />
        <button
          type="button"
          class="quiet icon-only"
          aria-label={t('settings')}
          title={t('settings')}
          onClick={openSettings}
        >
          <SettingsIcon />
        </button>
      </div>
    </header>
  );
}
