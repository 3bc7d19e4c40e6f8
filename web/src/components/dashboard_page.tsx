import { useEffect } from 'preact/hooks';
import { language, t } from '../i18n';
import { bytes, decimal, duration, integer, percent } from '../lib/format';
import type { Point } from '../lib/timeline';
import { monitorProblem, paused, points, watch } from '../state/monitor';
import { needsKey } from '../state/server';
import { apiKey } from '../state/settings';
import { PauseIcon, PlayIcon } from './icons';
import { KeyForm } from './key_form';
import { PlotCard, type Series } from './plot_card';
import { describe } from './problem';
import { Tile } from './tile';

type Names = { [K in keyof Point]: string };

function Tiles({ point }: { point: Point }) {
  const lang = language.value;
  return (
    <dl class="tiles" aria-label={t('now')}>
      <Tile name={t('answersRunning')} value={integer(lang, point.running)} />
      <Tile name={t('answersWaiting')} value={integer(lang, point.waiting)} />
      <Tile name={t('tokenSpeedShort')} value={decimal(lang, point.answerTokens)} />
      <Tile name={t('firstTokenShort')} value={duration(lang, point.firstTokenMedian)} />
      <Tile name={t('tokenGapShort')} value={duration(lang, point.tokenGapMedian)} />
      <Tile name={t('cacheHitsShort')} value={percent(lang, point.cacheHits)} />
      <Tile name={t('memory')} value={bytes(lang, point.memory)} />
      <Tile name={t('connections')} value={integer(lang, point.connections)} />
    </dl>
  );
}

function Plots({ all }: { all: Point[] }) {
  const lang = language.value;
  const times = all.map(({ time }) => time);
  const series = (names: Partial<Names>): Series[] =>
    Object.entries(names).map(([field, name]) => ({
      name,
      values: all.map((point) => point[field as keyof Point]),
    }));
  const number = (value: number) => decimal(lang, value);
  const seconds = (value: number) => duration(lang, value);
  const size = (value: number) => bytes(lang, value);
  const recent = t('lastSeconds');
  return (
    <div class="plots">
      <PlotCard
        title={t('tokenSpeed')}
        times={times}
        series={series({ answerTokens: t('tokensOfAnswers'), promptTokens: t('tokensOfPrompts') })}
        format={number}
      />
      <PlotCard
        title={t('batchAndQueue')}
        times={times}
        series={series({ running: t('running'), waiting: t('queued') })}
        format={number}
        top={4}
      />
      <PlotCard
        title={t('firstToken')}
        note={recent}
        times={times}
        series={series({ firstTokenMedian: t('median'), firstTokenP95: t('p95') })}
        format={seconds}
      />
      <PlotCard
        title={t('tokenGap')}
        note={recent}
        times={times}
        series={series({ tokenGapMedian: t('median'), tokenGapP95: t('p95') })}
        format={seconds}
      />
      <PlotCard
        title={t('requestsPerMinute')}
        note={recent}
        times={times}
        series={series({ requests: t('taken'), refused: t('refused') })}
        format={number}
        top={4}
      />
      <PlotCard
        title={t('cache')}
        note={t('cacheOf', { total: bytes(lang, all.at(-1)?.cacheTotal ?? 0) })}
        times={times}
        series={series({ cacheUsed: t('cacheInUse'), cacheKept: t('cacheKept') })}
        format={size}
      />
      <PlotCard
        title={t('cacheHits')}
        note={recent}
        times={times}
        series={series({ cacheHits: t('cacheHits') })}
        format={(value) => percent(lang, value)}
        top={0.9}
      />
      <PlotCard
        title={t('memory')}
        times={times}
        series={series({ memory: t('resident') })}
        format={size}
      />
    </div>
  );
}

export function DashboardPage() {
  const key = apiKey.value;
  useEffect(watch, [key]);
  const all = points.value;
  const last = all.at(-1);
  return (
    <div class="wide-page">
      <header class="page-header">
        <div>
          <h1>{t('dashboard')}</h1>
          <p class="hint">{t('dashboardIntro')}</p>
        </div>
        <button type="button" class="quiet" onClick={() => (paused.value = !paused.value)}>
          {paused.value ? <PlayIcon /> : <PauseIcon />}
          {t(paused.value ? 'resume' : 'pause')}
        </button>
      </header>
      {needsKey.value ? <KeyForm /> : null}
      {monitorProblem.value && !needsKey.value ? (
        <p class="problem" role="alert">
          {describe(monitorProblem.value)}
        </p>
      ) : null}
      {last ? (
        <>
          <Tiles point={last} />
          <Plots all={all} />
        </>
      ) : null}
    </div>
  );
}
