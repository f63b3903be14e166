import { existsSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { digest, exclusively, once, statePath } from "../../airgap/state.ts";

const name = `test-${process.pid}/thing`;

afterEach(() => rmSync(statePath(`test-${process.pid}`), { recursive: true, force: true }));

describe("making a thing once", () => {
  const counter = () => {
    let count = 0;
    return { make: async (path: string) => writeFileSync(path, `${++count}`), count: () => count };
  };

  test("again only when its inputs have changed, or it is gone", async () => {
    const { make, count } = counter();
    const path = await once(name, "a", make);
    await once(name, "a", make);
    expect(count()).toBe(1);
    await once(name, "b", make);
    expect(readFileSync(path, "utf8")).toBe("2");
    rmSync(path);
    await once(name, "b", make);
    expect(count()).toBe(3);
  });

  test("again after it failed half way", async () => {
    const { make, count } = counter();
    const half = async (path: string) => {
      writeFileSync(path, "half");
      throw new Error("disk full");
    };
    await expect(once(name, "a", half)).rejects.toThrow("disk full");
    expect(readFileSync(await once(name, "a", make), "utf8")).toBe("1");
    expect(count()).toBe(1);
  });

  test("for callers at the same time, too", async () => {
    const { make, count } = counter();
    await Promise.all([once(name, "a", make), once(name, "a", make), once(name, "a", make)]);
    expect(count()).toBe(1);
  });
});

test("an empty lock counts only for the moment in which its owner writes into it", async () => {
  const lock = statePath(`${name}.lock`);
  mkdirSync(statePath(`test-${process.pid}`), { recursive: true });
  writeFileSync(lock, "");
  const minuteAgo = Date.now() / 1000 - 60;
  utimesSync(lock, minuteAgo, minuteAgo);
  expect(await exclusively(name, async () => "done")).toBe("done");
});

test("a lock whose process is gone does not count", async () => {
  const lock = statePath(`${name}.lock`);
  mkdirSync(statePath(`test-${process.pid}`), { recursive: true });
  // The right number, but of a process that started at another time.
  writeFileSync(lock, `${process.pid} 1`);
  expect(await exclusively(name, async () => "done")).toBe("done");
  expect(existsSync(lock)).toBe(false);
});

test("a digest tells where one part ends and the next begins", () => {
  expect(digest("ab", "c")).not.toBe(digest("a", "bc"));
});
