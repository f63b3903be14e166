/** Parking with a pretended producer: what goes into one request, and what becomes of producers that failed. */
import { afterEach, expect, test, vi } from "vitest";
import { DeadLetters, type DeadLetter } from "../../../services/crm-events/dead-letters.ts";

interface Sent {
  readonly messages: readonly { readonly value: Buffer; readonly key?: Buffer; readonly headers: Map<string, Buffer> }[];
}

const kafka = vi.hoisted(() => ({ made: [] as { closed: number }[], send: async (_made: unknown, _sent: unknown): Promise<void> => undefined }));

vi.mock("../../../services/shared/kafka.ts", () => ({ ensureTopic: async () => undefined }));
vi.mock("@platformatic/kafka", async (original) => ({
  ...(await original<object>()),
  Producer: class {
    closed = 0;
    constructor() {
      kafka.made.push(this);
    }
    send(sent: unknown) {
      return kafka.send(this, sent);
    }
    async close() {
      this.closed++;
    }
  },
}));

afterEach(() => {
  kafka.made = [];
});

const deadLetters = () => new DeadLetters({ connection: { clientId: "test", bootstrapBrokers: [] } as never, sourceTopic: "events", topic: "parked", replication: 1 });

function letter(offset: number, { headers = 0, key = null as Buffer | null, value = null as Buffer | null } = {}): DeadLetter {
  const own = Array.from({ length: headers }, (_, i) => [Buffer.from(`header-${i}`), Buffer.alloc(1_000)]);
  return { partition: 0, message: { offset, timestamp: 1, record: { key, value, headers: own } }, reason: "bad_json", detail: "" } as unknown as DeadLetter;
}

const bytesOf = ({ messages }: Sent) => messages.reduce((sum, { headers, key, value }) => sum + value.length + (key?.length ?? 0) + [...headers].reduce((all, [name, content]) => all + name.length + content.length, 0), 0);

test.each([
  { what: "headers", letters: Array.from({ length: 255 }, (_, i) => letter(i, { headers: 4 })) },
  { what: "as many headers as are kept", letters: Array.from({ length: 60 }, (_, i) => letter(i, { headers: 40 })) },
  { what: "keys", letters: Array.from({ length: 900 }, (_, i) => letter(i, { key: Buffer.alloc(2_000) })) },
  { what: "values", letters: Array.from({ length: 20 }, (_, i) => letter(i, { value: Buffer.alloc(200_000) })) },
])("letters with $what go out in requests that a broker takes, in order", async ({ letters }) => {
  const sent: Sent[] = [];
  kafka.send = async (_, one) => void sent.push(one as Sent);
  await deadLetters().park(letters);
  for (const request of sent) expect(bytesOf(request)).toBeLessThan(600_000);
  const offsets = sent.flatMap(({ messages }) => messages.map(({ headers }) => Number(headers.get("dead-letter-offset"))));
  expect(offsets).toEqual(letters.map(({ message }) => message.offset));
  // No more requests than it takes.
  expect(sent.length).toBeLessThanOrEqual(Math.ceil(sent.reduce((sum, one) => sum + bytesOf(one), 0) / 250_000));
});

test("a failure that comes late does not cost the producer that was made since", async () => {
  const fails = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let sends = 0;
  kafka.send = () => fails[sends++]?.promise ?? Promise.resolve();
  const letters = deadLetters();
  const [first, second] = [letters.park([letter(1)]), letters.park([letter(2)])].map((parking) => expect(parking).rejects.toThrow("no broker"));
  await vi.waitFor(() => expect(sends).toBe(2));
  fails[0]!.reject(new Error("no broker"));
  await first;
  await letters.park([letter(1)]);
  fails[1]!.reject(new Error("no broker"));
  await second;
  await letters.park([letter(2)]);
  await letters.close();
  expect(kafka.made.map(({ closed }) => closed)).toEqual([1, 1]);
});
