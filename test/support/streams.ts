/** Event streams as clients open them, which read and forget. */

/**
 * Opens streams and waits until all of them are answered.
 * @throws Error with the status of one that was refused
 */
export async function openStreams(url: string, count: number): Promise<{ close(): void }> {
  const controller = new AbortController();
  const responses = await Promise.all(Array.from({ length: count }, () => fetch(url, { headers: { accept: "text/event-stream" }, signal: controller.signal })));
  const refused = responses.find((r) => r.status !== 200);
  if (refused) {
    controller.abort();
    throw new Error(`a stream was refused with ${refused.status}`);
  }
  for (const { body } of responses) void body!.pipeTo(new WritableStream()).catch(() => undefined);
  return { close: () => controller.abort() };
}
