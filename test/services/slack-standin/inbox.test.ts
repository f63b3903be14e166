import { describe, expect, it } from "vitest";
import { DeadMan } from "../../../services/slack-standin/dead-man.ts";
import { Inbox } from "../../../services/slack-standin/inbox.ts";

describe("Inbox", () => {
  it("keeps the newest messages within its number", () => {
    const inbox = new Inbox({ messages: 3, bytes: 1e6 });
    for (let i = 1; i <= 5; i++) inbox.add("#c", { text: String(i) });
    expect(inbox.list().map((m) => m.id)).toEqual([3, 4, 5]);
  });

  it("keeps the newest messages within its size, and always the last one", () => {
    const inbox = new Inbox({ messages: 100, bytes: 1000 });
    for (let i = 1; i <= 10; i++) inbox.add("#c", { text: "x".repeat(300) });
    expect(inbox.list().map((m) => m.id)).toEqual([9, 10]);
    inbox.add("#c", { text: "x".repeat(5000) });
    expect(inbox.list().map((m) => m.id)).toEqual([11]);
    inbox.add("#c", { text: "small" });
    expect(inbox.list().map((m) => m.id)).toEqual([12]);
  });
});

describe("DeadMan", () => {
  const setup = () => {
    const clock = { now: 0 };
    const told: string[] = [];
    return { clock, told, deadMan: new DeadMan(60, (state) => told.push(state), () => clock.now) };
  };

  it("raises no alarm before the first beat", () => {
    const { clock, told, deadMan } = setup();
    clock.now = 1e9;
    deadMan.check();
    expect([deadMan.status().state, told]).toEqual(["waiting", []]);
  });

  it("does not mind one missed beat, alarms once after two, and says once that it is back", () => {
    const { clock, told, deadMan } = setup();
    deadMan.beat();
    const missedAt = (seconds: number) => {
      clock.now = seconds * 1000;
      deadMan.check();
      return [deadMan.status().missed, deadMan.status().state];
    };
    expect(missedAt(89)).toEqual([0, "alive"]);
    expect(missedAt(90)).toEqual([1, "alive"]);
    expect(missedAt(149)).toEqual([1, "alive"]);
    expect(missedAt(150)).toEqual([2, "dead"]);
    expect(missedAt(400)).toEqual([6, "dead"]);
    expect(told).toEqual(["dead"]);
    deadMan.beat();
    deadMan.beat();
    expect(told).toEqual(["dead", "alive"]);
  });
});
