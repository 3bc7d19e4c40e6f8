import { useState } from 'preact/hooks';
import { language, t } from '../i18n';
import { duration } from '../lib/format';
import type { Answer } from '../state/conversation';
import { Markdown } from './markdown';

// Less is not worth telling.
const SHORTEST_SECONDS = 0.5;

/** What a reasoning model thinks: open while it does, then folded unless the reader wants it. */
export function Reasoning({ answer }: { answer: Answer }) {
  const thinking = answer.state === 'thinking';
  const [chosen, setChosen] = useState<boolean | null>(null);
  const open = chosen ?? thinking;
  let title = t('thoughts');
  if (thinking) title = t('thinking');
  else if (answer.reasoningSeconds !== null && answer.reasoningSeconds >= SHORTEST_SECONDS) {
    title = t('thought', { seconds: duration(language.value, answer.reasoningSeconds) });
  }
  return (
    <details class="reasoning" open={open}>
      <summary
        onClick={(event) => {
          event.preventDefault();
          setChosen(!open);
        }}
      >
        {title}
      </summary>
      <Markdown text={answer.reasoning} />
    </details>
  );
}
