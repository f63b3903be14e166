/** Bodies that arrive slowly, in crumbs, or not to their end, sent to the port itself. */
import { createHmac } from "node:crypto";
import { connect, type AddressInfo, type Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, it } from "vitest";
import { started, t } from "./qbo-support.ts";
import { eventually, verifierToken } from "./support.ts";

const mebibyte = 1024 * 1024;
/** A delivery of no events. */
const delivery = (bytes: number) => Buffer.from(`[${" ".repeat(bytes - 2)}]`);
const headOf = (body: Buffer, length: string) => `POST /qbo/webhooks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIntuit-Signature: ${createHmac("sha256", verifierToken).update(body).digest("base64")}\r\n${length}\r\n\r\n`;
const withLength = (body: Buffer) => headOf(body, `Content-Length: ${body.length}`);
const inCrumbs = (body: Buffer) => [...body].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join("");

const open = new Set<Socket>();
/** The service's ends of the connections. */
let accepted: Socket[];
const received = () => accepted.reduce((sum, socket) => sum + socket.bytesRead, 0);
beforeEach(async () => {
  await started();
  accepted = [];
  t.service.app.server.on("connection", (socket: Socket) => accepted.push(socket));
});
afterEach(() => open.forEach((socket) => socket.destroy()));

interface Connection {
  readonly socket: Socket;
  answer: string;
}

function send(...texts: (string | Buffer)[]): Connection {
  const socket = connect((t.service.app.server.address() as AddressInfo).port, "127.0.0.1").on("error", () => undefined);
  const connection: Connection = { socket, answer: "" };
  open.add(socket);
  socket.setEncoding("latin1").on("data", (text: string) => (connection.answer += text)).on("close", () => open.delete(socket));
  for (const text of texts) socket.write(text);
  return connection;
}
const status = ({ answer }: Connection) => /^HTTP\/1.1 (\d+)/.exec(answer)?.[1];

it("that wait for their end give way, the oldest first, before they fill the memory", async () => {
  const body = delivery(mebibyte);
  const unfinished: Connection[] = [];
  for (let i = 1; i <= 60; i++) {
    unfinished.push(send(withLength(body), body.subarray(1)));
    if (i % 10 === 0) await eventually(() => received() === i * (withLength(body).length + body.length - 1));
  }
  await eventually(() => open.size <= 32);
  expect(unfinished.slice(0, 20).map(status)).toEqual(Array(20).fill("408"));
  expect(unfinished.at(-1)!.answer).toBe("");
  const good = send(withLength(body), body);
  await eventually(() => status(good) === "200");
  expect(unfinished.at(-1)!.answer).toBe("");
});

it("in crumbs take no more memory than others", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const memory = () => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const body = delivery(256 * 1024);
  const [head, most, last] = [headOf(body, "Transfer-Encoding: chunked"), inCrumbs(body.subarray(0, -1)), `${inCrumbs(body.subarray(-1))}0\r\n\r\n`];
  const before = memory();
  const crumbs = send(head, most);
  await eventually(() => received() === head.length + most.length);
  expect(memory() - before).toBeLessThan(8 * mebibyte);
  crumbs.socket.write(last);
  await eventually(() => status(crumbs) === "200");
});

it("of just the limit are read, longer ones refused, and the connection ends", async () => {
  const [most, more] = [delivery(mebibyte), delivery(mebibyte + 1)];
  const chunk = (body: Buffer) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  const answers = [send(withLength(most), most), send(headOf(most, "Transfer-Encoding: chunked"), chunk(most)), send(withLength(more), more), send(headOf(more, "Transfer-Encoding: chunked"), chunk(more))];
  await eventually(() => answers.every(status));
  expect(answers.map(status)).toEqual(["200", "200", "413", "413"]);
  await eventually(() => answers.slice(2).every(({ socket }) => socket.closed));
  expect(answers[3]!.answer).toContain(`"error":"too_large"`);
});

it("that are cut off leave their room to others", async () => {
  const body = delivery(mebibyte);
  const [head, most] = [withLength(body), body.subarray(1)];
  for (let round = 1; round <= 2; round++) {
    const connections = Array.from({ length: 30 }, () => send(head, most));
    await eventually(() => received() === round * 30 * (head.length + most.length));
    expect(connections.map(({ answer, socket }) => answer + socket.closed)).toEqual(Array(30).fill("false"));
    for (const { socket } of connections) socket.destroy();
    await eventually(() => accepted.every((socket) => socket.closed));
  }
});
