import * as pulumi from "@pulumi/pulumi";
import { ownImageOf, type OwnImage } from "./images.ts";
import { factsOf, present, type StackContext } from "./part.ts";
import type { Health, Limits, Workload, WorkloadArgs } from "./platform/platform.ts";
import { parts, speaksTls } from "./topology.ts";

/** What sets one of our services apart from the others. */
export interface CrmServiceArgs {
  readonly stack: StackContext;
  /** Its environment; plain values only. */
  readonly env?: Readonly<Record<string, string>>;
  /** Secret files by name; those that the stack does not have are left out. */
  readonly secrets?: Readonly<Record<string, pulumi.Input<string> | undefined>>;
  /** Folder `/data` that outlives the container. @default none */
  readonly data?: Pick<NonNullable<WorkloadArgs["data"]>, "sizeGiB" | "unused">;
  readonly limits: Limits;
  /** Healthcheck times. @default the platform's */
  readonly health?: Pick<Health, "intervalSeconds" | "timeoutSeconds" | "retries" | "startSeconds">;
  /** Whether it calls addresses outside the stack. @default false */
  readonly egress?: boolean;
}

/** One of the project's own services: one bundled file on the Node image, healthy when `/healthz` is 200. */
export class CrmService extends pulumi.ComponentResource {
  readonly workload: Workload;

  constructor(name: OwnImage, args: CrmServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("crm:observability:CrmService", name, {}, opts);
    const { settings: s, platform } = args.stack;
    const { port } = parts[name];
    const files = present(args.secrets ?? {});
    const tls = speaksTls(s, name);
    const http = { port, path: "/healthz", ...(tls && { tls }) };
    const workload = platform.run(
      name,
      {
        ...factsOf(s, name),
        image: ownImageOf(s, name),
        user: 1000,
        env: { NODE_ENV: "production", PORT: `${port}`, ...args.env },
        secrets: Object.keys(files).length > 0 ? { files } : undefined,
        data: args.data && { mount: "/data", ...args.data },
        scratch: [{ mount: "/tmp", sizeMiB: 16 }],
        health: { ...args.health, http },
        limits: args.limits,
        egress: args.egress,
      },
      { parent: this },
    );
    this.workload = tls ? { ...workload, url: workload.url?.replace(/^http:/, "https:") } : workload;
    this.registerOutputs({ url: this.workload.url });
  }
}
