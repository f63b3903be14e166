/** A service that cannot start says why in one line, and ends. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root, serviceNames } from "../../../tools/service-sources.ts";

it.each(serviceNames)("%s names the variable that is wrong, without a stack trace", (service) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "services", service, "server.ts")], { env: { PATH: process.env["PATH"], PORT: "many" }, encoding: "utf8", timeout: 30_000 });
  expect([status, stderr]).toEqual([1, ""]);
  expect(JSON.parse(stdout)).toMatchObject({ level: "fatal", service, message: "cannot start", reason: expect.stringMatching(/\bPORT: /) });
});
