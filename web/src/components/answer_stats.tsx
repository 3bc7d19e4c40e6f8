import { language, t } from '../i18n';
import { decimal, duration, integer } from '../lib/format';
import { models } from '../state/server';
import { tokensPerSecond, type Answer } from '../state/conversation';

/** Tokens and speed of one answer, also while it is being given. */
export function AnswerStatsLine({ answer }: { answer: Answer }) {
  const lang = language.value;
  const { usage, pieces, firstTokenSeconds } = answer.stats;
  const parts: string[] = [];
  if (answer.state === 'stopped') parts.push(t('stopped'));
  if (answer.finish === 'length') parts.push(t('lengthReached'));
  if (answer.route) parts.push(answer.route.replaceAll('; ', ', '));
  else if (answer.model && models.value.length > 1) parts.push(answer.model);
  if (usage) parts.push(t('tokens', { count: integer(lang, usage.completion_tokens) }));
  else if (pieces > 0) parts.push(t('aboutTokens', { count: integer(lang, pieces) }));
  const speed = tokensPerSecond(answer);
  if (speed !== null) parts.push(t('tokensPerSecond', { speed: decimal(lang, speed) }));
  if (firstTokenSeconds !== null) {
    parts.push(t('firstTokenAfter', { time: duration(lang, firstTokenSeconds) }));
  }
  if (usage) {
    const count = integer(lang, usage.prompt_tokens);
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    parts.push(
      cached > 0
        ? t('promptTokensCached', { count, cached: integer(lang, cached) })
        : t('promptTokens', { count }),
    );
  }
  return (
    <p class="stats">
      {parts.map((part) => (
        <span>{part}</span>
      ))}
    </p>
  );
}
