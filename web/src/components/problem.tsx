import { t } from '../i18n';
import { ApiError } from '../api/client';

/** What an error is called on the page: the server's own words where it had any. */
export function problemText(status: number, message: string, code: string | null): string {
  if (code === 'unreachable') return t('errorUnreachable');
  if (code === 'broken_off') return t('errorBrokenOff');
  if (message !== '') return message;
  return status === 0 ? t('errorUnknown') : t('errorStatus', { status });
}

export function describe(problem: unknown): string {
  return problem instanceof ApiError
    ? problemText(problem.status, problem.message, problem.code)
    : t('errorUnknown');
}

export function Problem(props: { status: number; message: string; code: string | null }) {
  return (
    <p class="problem" role="alert">
      {problemText(props.status, props.message, props.code)}
    </p>
  );
}
