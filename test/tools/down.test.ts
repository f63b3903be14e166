import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { root } from "../../tools/service-sources.ts";
import { notOurs } from "../../tools/stacks.ts";
import { fakeDocker, type FakeDocker } from "../support/fake-docker.ts";

let docker: FakeDocker;
// An engine with nothing on it.
beforeEach(() => void (docker = fakeDocker("return 0")));
afterEach(() => docker.remove());
const down = (...args: string[]) => spawnSync(process.execPath, ["tools/down.ts", ...args], { cwd: root, encoding: "utf8", env: { ...process.env, PATH: docker.path } });

it("names the stacks that there are for a name that none has", () => {
  const { status, stderr } = down("typo");
  expect(status).toBe(1);
  expect(stderr).toMatch(/there is no Pulumi\.typo\.yaml; stacks here: .*dev/);
  expect(stderr).not.toContain("removed");
});

it("names the command for a stack that is not on Docker", () => {
  const { status, stderr } = down("prod", "--data");
  expect(status).toBe(1);
  expect(stderr).toContain('stack "prod" is for kubernetes; make down stops Docker stacks, use: pulumi destroy --stack prod');
});

it("removes nothing by an option that it does not know", () => {
  expect(down("dev", "--date")).toMatchObject({ status: 1, stderr: expect.stringContaining("--date") });
  expect(docker.calls()).toEqual([]);
});

it("knows the shipped Docker stacks, whether they run or not", () => {
  for (const stack of ["dev", "fast"]) expect(notOurs(stack)).toBeUndefined();
});

it("removes the containers before the CLI destroys what it knows: one of a killed update is in no state, and holds volumes", () => {
  const stack = `test-${process.pid}`;
  docker.remove();
  docker = fakeDocker('case "$*" in "ps --all"*) echo 1234;; esac');
  const [folder] = docker.path.split(delimiter);
  const answer = `case "$*" in "stack ls"*) echo '[{"name":"${stack}","resourceCount":9}]';; esac`;
  writeFileSync(join(folder!, "pulumi"), `#!/bin/sh\necho "pulumi $*" >> ${folder}/calls\n${answer}\n`, { mode: 0o755 });
  mkdirSync(join(root, ".state"), { recursive: true });
  const file = join(root, `.state/Pulumi.${stack}.yaml`);
  writeFileSync(file, "");
  try {
    const { status, stderr } = down(stack);
    expect(status, stderr).toBe(0);
  } finally {
    rmSync(file);
  }
  const calls = docker.calls();
  const at = (start: string) => calls.findIndex((call) => call.startsWith(start));
  expect(calls[at("rm ")]).toBe("rm --force --volumes 1234");
  expect(at("stop ")).toBeGreaterThan(-1);
  expect(at("pulumi destroy")).toBeGreaterThan(at("rm "));
});
