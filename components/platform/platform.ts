/**
 * The port between the stack's components and where they run. Components say what a program needs; only an adapter
 * (docker.ts, kubernetes.ts) knows its target. What the targets do differently is written down in README.md here.
 */
import type * as pulumi from "@pulumi/pulumi";

/** Path inside a folder to text. */
export type Files = Readonly<Record<string, string>>;

/** How a running program is asked whether it is well. `http` expects 200, over TLS whatever its certificate is; `tcp` an open port. */
export type Health = { readonly startSeconds?: number; readonly intervalSeconds?: number; readonly timeoutSeconds?: number; readonly retries?: number } & (
  | { readonly http: { readonly port: number; readonly path: string; /** @default false */ readonly tls?: boolean } }
  | { readonly tcp: number }
);

/** Limits that hold on both targets. */
export interface Limits {
  /** Cores, such as 0.5. */
  readonly cpu: number;
  readonly memoryMiB: number;
  /** Processes and threads. Kubernetes sets this per node, not per pod. */
  readonly pids: number;
}

/** A configuration folder that can change while the program runs. */
export interface ConfigArgs {
  /** Folder in the container. The files are under its subfolder `current`. */
  readonly mount: string;
  readonly files: Files;
  /** Shell command that fails, with the program's own words, when the folder `$NEW` does not hold a good configuration. */
  readonly check: string;
  /**
   * Shell command that asks the running program `$HOST` to load the folder and fails when it did not. Absent: the program
   * needs no request because it watches the folder itself.
   */
  readonly reload?: string;
}

/** Secret files of one program: its own folder, mode 0400, its own uid. */
export interface SecretArgs {
  readonly files: Readonly<Record<string, pulumi.Input<string>>>;
  /** The program reads them only when it starts: a changed one restarts it. @default false, it reads them at use */
  readonly restartOnChange?: boolean;
}

/** One program of the stack, as its component asks for it. */
export interface WorkloadArgs {
  readonly image: pulumi.Input<string>;
  /** Replaces the image's entry point and arguments when given; else `args` follow the image's entry point. */
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  /** Plain values only; a secret goes into `secrets`. */
  readonly env?: Readonly<Record<string, string>>;
  /** uid and gid of the process; the data folder belongs to it. */
  readonly user: number;
  readonly port: number;
  /** Host port on 127.0.0.1 of the first replica; absent: not published. */
  readonly publish?: number;
  /** Further container ports that are published, to their host ports. Docker only. */
  readonly publishExtra?: Readonly<Record<number, number>>;
  /** These are published on every IPv4 address of the engine's machine. @default false: on 127.0.0.1 */
  readonly publishExtraOpenly?: boolean;
  /** Further ports that other parts use, such as gossip. */
  readonly extraPorts?: readonly number[];
  readonly config?: ConfigArgs;
  readonly secrets?: SecretArgs;
  /** Folder that outlives the container. */
  readonly data?: {
    readonly mount: string;
    readonly sizeGiB: number;
    /** The program does without it now, but what it wrote there before must outlive that too. @default false */
    readonly unused?: boolean;
  };
  /** Folders that the program may write and nobody keeps; in memory. */
  readonly scratch?: readonly { readonly mount: string; readonly sizeMiB: number; /** Programs may be run from it, as the JVM does with its native libraries. */ readonly executable?: boolean }[];
  readonly health: Health;
  readonly limits: Limits;
  readonly replicas?: number;
  /** Names of the parts that may connect to this one. */
  readonly clients: readonly string[];
  /** Names of the parts that this one connects to. */
  readonly servers: readonly string[];
  /** Whether it calls addresses outside the stack. */
  readonly egress?: boolean;
}

/** A program that the platform runs. */
export interface Workload {
  readonly name: string;
  /** Address on the host, when published. */
  readonly url?: string;
}

/** What every target gives. */
export interface Platform {
  /** Whether a changed configuration is loaded by `reload`; else it restarts the program. */
  readonly reloads: boolean;
  /**
   * Runs one program.
   * @param name its name on the stack's network, such as `crm-api`
   * @param args what it needs
   * @param opts `parent` is the component
   */
  run(name: string, args: WorkloadArgs, opts: { parent: pulumi.Resource }): Workload;
}
