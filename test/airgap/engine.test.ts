import { describe, expect, it } from "vitest";
import { unusable } from "../../airgap/engine.ts";

describe("an engine that is there but cannot be used", () => {
  const refusals = [
    // Clients 20, 24 and 29.
    'Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/version": dial unix /var/run/docker.sock: connect: permission denied',
    'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.47/version": dial unix /var/run/docker.sock: connect: permission denied',
    "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
  ];
  it.each(refusals)("is told by %s", (stderr) => {
    expect(unusable(stderr)).toMatch(/may not use its socket \/var\/run\/docker\.sock: add yourself to the group docker .*or use sudo/);
  });

  it("is one of another age", () => {
    expect(unusable("Error response from daemon: client version 1.24 is too old. Minimum supported API version is 1.44")).toContain("install a client of the engine's age");
  });

  it("is not one that does not run", () => {
    expect(unusable("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")).toBeUndefined();
    expect(unusable("error during connect: ssh: user@host: Permission denied (publickey).")).toBeUndefined();
    expect(unusable("")).toBeUndefined();
  });
});
