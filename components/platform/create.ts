/** Chooses the adapter of a stack; the only place that reads the target. */
import type { Settings } from "../settings/schema.ts";
import type { Platform } from "./platform.ts";

/** Only the adapter that is used is loaded, and with it only its SDK. */
export async function createPlatform(s: Settings): Promise<Platform> {
  if (s.target === "kubernetes") {
    const { createKubernetesPlatform } = await import("./kubernetes.ts");
    return createKubernetesPlatform(s);
  }
  const { createDockerPlatform } = await import("./docker.ts");
  return createDockerPlatform(s);
}
