/**
 * The least that a Node server can do for event streams: no limits, no checks, no history. Each event is encoded once and
 * written to every connection. Writes `{"stream": port, "publish": port}` to standard output.
 *
 *   node bare-server.ts http      connections through Node's HTTP server
 *   node bare-server.ts tcp       bare connections; whatever they ask for, they get the stream
 */
import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";

const sockets = new Set<Socket>();
const streamHead = "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

function keep(socket: Socket): void {
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket)).on("error", () => socket.destroy());
}

const overHttp = () =>
  createHttpServer((request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Transfer-Encoding": "chunked" }).flushHeaders();
    keep(request.socket);
  });

const overTcp = () =>
  createTcpServer({ noDelay: true }, (socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\n${streamHead}`);
      socket.resume();
      keep(socket);
    });
  });

let sequence = 0;
const publisher = createHttpServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => {
    const body = Buffer.concat([Buffer.from(`id: benchmrk.${(sequence++).toString(36)}.255s.255s.255s.255s.255s\ndata: `), ...chunks, Buffer.from("\n\n")]);
    const frame = Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from("\r\n")]);
    for (const socket of sockets) socket.write(frame);
    response.end();
  });
});

const listen = (server: Server) => new Promise<number>((resolve) => server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () => resolve((server.address() as AddressInfo).port)));
console.log(JSON.stringify({ stream: await listen(process.argv[2] === "tcp" ? overTcp() : overHttp()), publish: await listen(publisher) }));
