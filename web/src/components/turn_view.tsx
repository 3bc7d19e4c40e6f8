import { t } from '../i18n';
import { memo } from '../lib/memo';
import {
  answering,
  retry,
  takeBack,
  type Answer,
  type Question,
  type Turn,
} from '../state/conversation';
import { AnswerStatsLine } from './answer_stats';
import { CopyButton } from './copy_button';
import { EditIcon, RetryIcon } from './icons';
import { Markdown } from './markdown';
import { Problem } from './problem';
import { Reasoning } from './reasoning';

interface Props {
  turn: Turn;
  last: boolean; // among the last question and its answer
  edit: (text: string) => void;
}

function QuestionView({ turn, last, edit }: Props & { turn: Question }) {
  return (
    <article class="question" aria-label={t('you')}>
      <div class="bubble">{turn.content}</div>
      {last && !answering.value ? (
        <button
          type="button"
          class="quiet icon-only"
          aria-label={t('edit')}
          title={t('edit')}
          onClick={() => edit(takeBack())}
        >
          <EditIcon />
        </button>
      ) : null}
    </article>
  );
}

function AnswerView({ turn, last }: { turn: Answer; last: boolean }) {
  const busy = turn.state === 'waiting' || turn.state === 'thinking' || turn.state === 'writing';
  return (
    <article class={`answer ${turn.state}`} aria-label={t('assistant')} aria-busy={busy}>
      {turn.reasoning !== '' ? <Reasoning answer={turn} /> : null}
      {turn.state === 'waiting' ? (
        <p class="waiting-dots" role="img" aria-label={t('waiting')}>
          <i />
          <i />
          <i />
        </p>
      ) : null}
      {turn.content !== '' ? <Markdown text={turn.content} /> : null}
      {turn.problem ? <Problem {...turn.problem} /> : null}
      {turn.state === 'waiting' ? null : (
        <footer>
          <AnswerStatsLine answer={turn} />
          {busy ? null : (
            <div class="actions">
              {turn.content !== '' ? <CopyButton text={turn.content} label={t('copy')} /> : null}
              {last && !answering.value ? (
                <button
                  type="button"
                  class="quiet icon-only"
                  aria-label={t('retry')}
                  title={t('retry')}
                  onClick={retry}
                >
                  <RetryIcon />
                </button>
              ) : null}
            </div>
          )}
        </footer>
      )}
    </article>
  );
}

export const TurnView = memo(
  function TurnView({ turn, last, edit }: Props) {
    return turn.role === 'user' ? (
      <QuestionView turn={turn} last={last} edit={edit} />
    ) : (
      <AnswerView turn={turn} last={last} />
    );
  },
  ['turn', 'last'],
);
