/** Bytes that are no HTTP, sent to the port itself. */
import { connect, type AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTestApi, type TestApi } from "./support.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await api.service.app.listen({ host: "127.0.0.1", port: 0 });
});
afterAll(() => api.close());

/** What the port says until it ends the connection. */
function send(text: string): Promise<string> {
  const { port } = api.service.app.server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text, "latin1"));
    socket.setEncoding("latin1").on("data", (bytes) => (answer += bytes)).on("error", reject).on("close", () => resolve(answer));
  });
}

const post = "POST /orgs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

it.each([
  ["no method", "FOO /orgs HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"],
  ["two lengths", `${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef`, 400, "invalid"],
  ["a length and chunks", `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400, "invalid"],
  ["a chunk that is none", `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n`, 400, "invalid"],
  ["a header with NUL", "GET /orgs HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", 400, "invalid"],
  ["another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid"],
  ["no host", "GET /orgs HTTP/1.1\r\n\r\n", 400, "invalid"],
  ["an expectation that nobody meets", "GET /orgs HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n", 417, "invalid"],
  ["long headers", `GET /orgs HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(40_000)}\r\n\r\n`, 431, "too_large"],
])("%s is refused in the form of every refusal, and the connection ends", async (_what, text, status, error) => {
  const answer = await send(text);
  const [head, body] = answer.split("\r\n\r\n");
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(head).toMatch(/^connection: close$/im);
  expect(JSON.parse(body!)).toEqual({ error, message: expect.any(String) });
});

it("goes on for everybody else", async () => {
  expect((await api.get("/healthz")).status).toBe(200);
});
