/** Starts and stops a service's parts in order; one signal stops it gracefully, a second or the deadline at once. */
/** What this needs of a log; every service's has it. */
interface LifecycleLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Something that is closed at the end; closed in the reverse of the order it was given in. */
export interface Closable {
  readonly name: string;
  close(): Promise<unknown> | unknown;
}

/**
 * Starts a service, or ends the process with code 1 and one line that says why: a wrong variable is the operator's to mend,
 * and a stack trace hides it.
 * @param log the line goes here, with the level "fatal"; the service's own log may not exist yet
 */
export async function startOrExit(log: { fatal(fields: object, message: string): void }, start: () => Promise<void>): Promise<void> {
  try {
    await start();
  } catch (error) {
    log.fatal({ reason: error instanceof Error ? error.message : String(error) }, "cannot start");
    process.exit(1);
  }
}

/**
 * Closes `parts`, last first, when SIGTERM or SIGINT arrives, then ends the process.
 * @param deadlineMs after this many milliseconds the process ends with code 1
 */
export function closeOnSignal(parts: readonly Closable[], log: LifecycleLog, deadlineMs = 10_000): void {
  let closing = false;
  const stop = async (signal: NodeJS.Signals) => {
    if (closing) process.exit(1);
    closing = true;
    log.info({ signal }, "stopping");
    setTimeout(() => process.exit(1), deadlineMs).unref();
    for (const part of [...parts].reverse()) {
      try {
        await part.close();
      } catch (error) {
        log.error({ err: error, part: part.name }, "could not close");
      }
    }
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

/**
 * Closes an HTTP server in order, but waits for nobody longer than the grace: a client that connected and says nothing
 * would otherwise keep the process until its deadline.
 * @param close stops to accept, and resolves when the last connection is gone
 * @param graceMs how long requests under way may take, in milliseconds
 */
export async function closeWithin(server: { closeAllConnections(): void }, close: () => Promise<unknown>, graceMs = 3_000): Promise<void> {
  const cut = setTimeout(() => server.closeAllConnections(), graceMs);
  try {
    await close();
  } finally {
    clearTimeout(cut);
  }
}
