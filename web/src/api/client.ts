// Requests to the server that this page came from. Addresses are relative, so that the page also
// works where a proxy puts it under a path.
import { apiKey } from '../state/settings';

/** What the server said was wrong, or that it could not be reached (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string | null = null,
  ) {
    super(message);
  }
}

interface ErrorBody {
  error?: { message?: string; code?: string | null };
}

export function errorOf(status: number, text: string): ApiError {
  try {
    const { error } = JSON.parse(text) as ErrorBody;
    if (error?.message) return new ApiError(status, error.message, error.code ?? null);
  } catch {
    // Not the server's own words: a proxy's, perhaps.
  }
  return new ApiError(status, '');
}

/** The response, whose status is 2xx; anything else is an ApiError. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (apiKey.value !== '') headers.set('Authorization', `Bearer ${apiKey.value}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, credentials: 'same-origin' });
  } catch (problem) {
    if (init.signal?.aborted) throw problem;
    throw new ApiError(0, '', 'unreachable');
  }
  if (!response.ok) throw errorOf(response.status, await response.text().catch(() => ''));
  return response;
}
