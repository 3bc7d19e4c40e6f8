// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), of which the
// data alone matters here. EventSource itself cannot send a body.

/** The data of each event in a stream of text, however the text is cut. */
export class EventParser {
  #rest = '';
  #data: string[] = [];

  /** The events that `text` completes. */
  push(text: string): string[] {
    const events: string[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) events.push(this.#data.join('\n'));
        this.#data = [];
      } else if (line.startsWith('data:')) {
        this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
    }
    return events;
  }
}

export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // Whoever stops listening also ends the answer on the server.
    await reader.cancel().catch(() => undefined);
  }
}
