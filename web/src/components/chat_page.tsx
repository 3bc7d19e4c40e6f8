import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n';
import { answering, clear, send, stop, turns } from '../state/conversation';
import { needsKey } from '../state/server';
import { Composer } from './composer';
import { useFollow } from './follow';
import { DownIcon, PlusIcon } from './icons';
import { KeyForm } from './key_form';
import { TurnView } from './turn_view';
import { Welcome } from './welcome';

/** What a screen reader is told: that an answer begins and ends, not each of its words. */
function Announcements() {
  const last = turns.value.at(-1);
  const [spoke, setSpoke] = useState(false);
  useEffect(() => {
    if (answering.value) setSpoke(true);
  }, [answering.value]);
  let text = '';
  if (answering.value) text = t('answerStarted');
  else if (spoke && last?.role === 'assistant') {
    if (last.state === 'done') text = t('answerDone');
    if (last.state === 'stopped') text = t('answerStopped');
  }
  return (
    <p class="visually-hidden" role="status">
      {text}
    </p>
  );
}

export function ChatPage() {
  const thread = useRef<HTMLElement>(null);
  const input = useRef<HTMLTextAreaElement>(null);
  const { following, follow } = useFollow(thread, turns.value);
  const [draft, setDraft] = useState('');
  const submit = (text: string) => {
    if (answering.value || text.trim() === '') return;
    send(text);
    setDraft('');
    follow();
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && answering.value && !document.querySelector('dialog[open]'))
        stop();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const edit = (text: string) => {
    setDraft(text);
    input.current?.focus();
  };
  const all = turns.value;
  return (
    <>
      <h1 class="visually-hidden">{t('chat')}</h1>
      <section class="thread" ref={thread} tabIndex={0} aria-label={t('conversation')}>
        <div class="column">
          {needsKey.value ? <KeyForm /> : null}
          {all.length === 0 && !needsKey.value ? <Welcome ask={submit} /> : null}
          {all.map((turn, i) => (
            <TurnView key={turn.id} turn={turn} last={i >= all.length - 2} edit={edit} />
          ))}
        </div>
      </section>
      <div class="dock">
        <div class="column">
          {!following && all.length > 0 ? (
            <button type="button" class="to-latest" onClick={follow}>
              <DownIcon />
              {t('toLatest')}
            </button>
          ) : null}
          <Composer input={input} draft={draft} setDraft={setDraft} submit={submit} />
          <div class="under-composer">
            <span class="hint">{t('keysHint')}</span>
            {all.length > 0 ? (
              <button
                type="button"
                class="quiet"
                onClick={() => {
                  clear();
                  input.current?.focus();
                }}
              >
                <PlusIcon />
                {t('newChat')}
              </button>
            ) : null}
          </div>
        </div>
      </div>
      <Announcements />
    </>
  );
}
