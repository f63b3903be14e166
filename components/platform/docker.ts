/** The Docker adapter: the only importer of @pulumi/docker. */
import { relative } from "node:path";
import { Container } from "@pulumi/docker/container.js";
import { Network } from "@pulumi/docker/network.js";
import { RemoteImage } from "@pulumi/docker/remoteImage.js";
import { Volume } from "@pulumi/docker/volume.js";
import type { types } from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { removeContainer, removeNetwork, stopContainer } from "./docker-engine.ts";
import { configScript, restartLabel, secretsScript, stageDir, volumeDir } from "./loader.ts";
import type { Health, Platform, Workload, WorkloadArgs } from "./platform.ts";
import { bundleFolder, bundleServices } from "../../tools/bundle.ts";
import { imageOf, onEngineOnly, ownImageOf, ownImages } from "../images.ts";
import type { Settings } from "../settings/schema.ts";
import { replicaNames, secretsDir } from "../topology.ts";

/** What the adapter needs to know of the stack. */
export interface DockerPlatformArgs {
  /** Prefix of every name, such as `crm-dev`. */
  readonly prefix: string;
  /** Folder where secret files are seen by programs. */
  readonly secretsDir: string;
  /** Images that the program builds itself when the engine does not have them: reference to build context. */
  readonly builds: ReadonlyMap<string, { readonly context: string; readonly base: string }>;
}

/**
 * The platform of a stack. Images of ours are built here unless a registry has them; a preview builds nothing.
 * @throws Error of the bundler when a service does not compile
 */
export async function createDockerPlatform(s: Settings): Promise<Platform> {
  const builds = new Map<string, { context: string; base: string }>();
  if (s.imageRegistry === undefined || onEngineOnly(s)) {
    if (!pulumi.runtime.isDryRun()) await bundleServices(ownImages);
    for (const name of ownImages) builds.set(ownImageOf(s, name), { context: relative(process.cwd(), bundleFolder(name)), base: imageOf(s, "node") });
  }
  return new DockerPlatform(`crm-${s.stack}`, { prefix: `crm-${s.stack}`, secretsDir, builds });
}

type Options = { parent: pulumi.Resource; dependsOn: pulumi.Resource[] };
type Volumes = types.input.ContainerVolume[];

/** Runs the stack on a Docker engine (`DOCKER_HOST`, or the local one). */
export class DockerPlatform extends pulumi.ComponentResource implements Platform {
  readonly reloads = true;
  private readonly args: DockerPlatformArgs;
  private readonly backend: Network;
  private readonly edge: Network;
  private readonly images = new Map<string, RemoteImage>();

  constructor(name: string, args: DockerPlatformArgs, opts?: pulumi.ComponentResourceOptions) {
    super("crm:platform:Docker", name, {}, opts);
    this.args = args;
    // Everything talks on the backend, which has no way out. Only what is published or calls outside joins the edge.
    this.backend = this.network("backend", true);
    this.edge = this.network("edge", false);
    this.registerOutputs({});
  }

  run(name: string, args: WorkloadArgs, opts: { parent: pulumi.Resource }): Workload {
    const names = replicaNames(name, args.replicas ?? 1);
    if (args.data?.unused) this.volume(`${this.args.prefix}-${name}-data`, opts.parent);
    const image = this.imageOf(args);
    const secrets = args.secrets && this.secretsLoader(name, args, image, opts.parent);
    const config = args.config && this.configLoader(name, args, names, [...image, ...(secrets ? [secrets.container] : [])], opts.parent);
    const loaders = [config, secrets].filter((l) => l !== undefined);
    const shared: Volumes = loaders.map((l) => l.volume);
    const loaded = pulumi.all(loaders.map((l) => succeeded(l.container)));
    // A changed secret makes a new loader, whose id says so and nothing of the secret.
    const restartFor = args.secrets?.restartOnChange ? secrets?.container.id : undefined;
    const order = { parent: opts.parent, dependsOn: image, loaded, restartFor };
    for (const [i, replica] of names.entries()) this.program(name, replica, i, args, shared, order);
    return { name, url: args.publish === undefined ? undefined : `http://localhost:${args.publish}` };
  }

  private network(purpose: "backend" | "edge", internal: boolean): Network {
    const name = `${this.args.prefix}-${purpose}`;
    const hooks = beforeCreate(() => removeNetwork(name, this.args.prefix));
    return new Network(name, { name, driver: "bridge", internal, labels: this.labels(purpose) }, { parent: this, deleteBeforeReplace: true, hooks });
  }

  /** The build of an image of our own, once; nothing for an image that is pulled. */
  private imageOf(args: WorkloadArgs): RemoteImage[] {
    if (typeof args.image !== "string") return [];
    const build = this.args.builds.get(args.image);
    if (build === undefined) return [];
    const known = this.images.get(args.image);
    if (known !== undefined) return [known];
    const name = args.image.replace(/^.*\//, "").replace(/:.*$/, "");
    const image = new RemoteImage(
      `${this.args.prefix}-${name}-image`,
      { name: args.image, build: { context: build.context, buildArgs: { BASE: build.base } }, keepLocally: true },
      { parent: this },
    );
    this.images.set(args.image, image);
    return [image];
  }

  private volume(name: string, parent: pulumi.Resource): Volume {
    return new Volume(name, { name, labels: this.labels(name) }, { parent, deleteBeforeReplace: true });
  }

  /** The loader of a configuration folder, and how the program mounts its volume. */
  private configLoader(name: string, args: WorkloadArgs, hosts: string[], dependsOn: pulumi.Resource[], parent: pulumi.Resource) {
    const config = args.config!;
    const id = `${this.args.prefix}-${name}-config`;
    const uploads = Object.entries(config.files).map(([path, content]) => ({ file: `${stageDir}/${path}`, content, permissions: "0444" }));
    const extra: Volumes = config.reload?.includes(this.args.secretsDir) ? [this.secretsVolume(name, true)] : [];
    const container = this.loader(id, args, configScript(config, hosts), uploads, extra, { parent, dependsOn: [...dependsOn, this.volume(id, parent)] });
    return { container, volume: { volumeName: id, containerPath: config.mount, readOnly: true } };
  }

  private secretsLoader(name: string, args: WorkloadArgs, dependsOn: pulumi.Resource[], parent: pulumi.Resource) {
    const id = `${this.args.prefix}-${name}-secrets`;
    const uploads = Object.entries(args.secrets!.files).map(([path, content]) => ({
      file: `${stageDir}/${path}`,
      content: pulumi.secret(content),
      // The loader is alone in its container and empties the file once it is in the volume.
      permissions: "0666",
    }));
    const container = this.loader(id, args, secretsScript, uploads, [], { parent, dependsOn: [...dependsOn, this.volume(id, parent)] });
    return { container, volume: this.secretsVolume(name, true) };
  }

  private secretsVolume(name: string, readOnly: boolean) {
    return { volumeName: `${this.args.prefix}-${name}-secrets`, containerPath: this.args.secretsDir, readOnly };
  }

  /** A one-shot: the update waits for it and fails with its output when it does. */
  private loader(id: string, args: WorkloadArgs, script: string, uploads: types.input.ContainerUpload[], extra: Volumes, opts: Options): Container {
    const name = `${id}-loader`;
    return new Container(
      name,
      {
        ...this.hardened(args, name),
        name,
        entrypoints: ["/bin/sh", "-c"],
        command: [script],
        uploads,
        volumes: [{ volumeName: id, containerPath: volumeDir }, ...extra],
        networksAdvanced: [{ name: `${this.args.prefix}-backend` }],
        restart: "no",
        mustRun: false,
        attach: true,
        logs: true,
      },
      { ...this.owned(name, opts.parent), dependsOn: [...opts.dependsOn, this.backend] },
    );
  }

  private program(part: string, replica: string, index: number, args: WorkloadArgs, shared: Volumes, opts: Options & { loaded: pulumi.Output<pulumi.Resource[]>; restartFor?: pulumi.Input<string> }): Container {
    const name = `${this.args.prefix}-${replica}`;
    const data = args.data && !args.data.unused && { volumeName: `${name}-data`, containerPath: args.data.mount };
    const volumes: Volumes = [...shared, ...(data ? [data] : [])];
    const dependsOn = [...opts.dependsOn, this.backend, this.edge, ...(data ? [this.volume(data.volumeName, opts.parent)] : [])];
    const aliases = [...new Set([part, replica])];
    const ports = index > 0 ? [] : publishedPorts(args);
    const holder = ports.length > 0 ? this.holderBefore(part, replica) : undefined;
    const networks: types.input.ContainerNetworksAdvanced[] = [{ name: `${this.args.prefix}-backend`, aliases }];
    if (args.publish !== undefined || args.publishExtra || args.egress) networks.push({ name: `${this.args.prefix}-edge` });
    const common = this.hardened(args, name);
    return new Container(
      name,
      {
        ...common,
        // For whoever applies the rendered Compose file, where nothing restarts a program by itself.
        labels: [...common.labels, ...(args.secrets?.restartOnChange ? [{ label: restartLabel, value: "true" }] : [])],
        name,
        hostname: replica,
        readOnly: true,
        entrypoints: args.command && [...args.command],
        command: args.args && [...args.args],
        envs: Object.entries(args.env ?? {}).map(([key, value]) => `${key}=${value}`),
        volumes,
        tmpfs: scratchMounts(args),
        networksAdvanced: networks,
        ports,
        healthcheck: healthcheck(args.health),
        restart: "unless-stopped",
        init: true,
        destroyGraceSeconds: 30,
        // The same for whoever stops it by hand, or with the engine.
        stopTimeout: 30,
        wait: true,
        waitTimeout: 300,
      },
      { ...this.owned(name, opts.parent, holder), dependsOn: opts.loaded.apply((l) => [...l, ...dependsOn]), replaceOnChanges: [...retried, "healthcheck"], replacementTrigger: opts.restartFor },
    );
  }

  /**
   * A name is free before it is taken again: by the old container, and by one that an interrupted update left behind.
   * @param holder what may still hold the published ports; the update deletes it only at its end
   */
  private owned(name: string, parent: pulumi.Resource, holder?: string): pulumi.CustomResourceOptions {
    const hooks = beforeCreate(async () => {
      await removeContainer(name, this.args.prefix);
      if (holder !== undefined) await stopContainer(holder, this.args.prefix);
    });
    return { parent, deleteBeforeReplace: true, replaceOnChanges: [...retried], hooks };
  }

  /** The container that held a part's ports before it had several replicas instead of one, or one instead of several. */
  private holderBefore(part: string, replica: string): string {
    return `${this.args.prefix}-${replicaNames(part, replica === part ? 2 : 1)[0]!}`;
  }

  /** What every container has, loaders included. */
  private hardened(args: WorkloadArgs, name: string) {
    return {
      image: args.image,
      user: `${args.user}:${args.user}`,
      capabilities: { drops: ["ALL"] },
      securityOpts: ["no-new-privileges:true"],
      memory: args.limits.memoryMiB,
      memorySwap: args.limits.memoryMiB,
      // Written as the engine gives it back, so that a repeated update finds no difference.
      cpus: Number.isInteger(args.limits.cpu) ? args.limits.cpu.toFixed(1) : `${args.limits.cpu}`,
      logDriver: "json-file",
      logOpts: { "max-size": "10m", "max-file": "3" },
      // The provider has no field for the limit of processes; the rendered Compose file takes it from this label.
      labels: [...this.labels(name), { label: "crm.limits.pids", value: `${args.limits.pids}` }],
    };
  }

  private labels(name: string): { label: string; value: string }[] {
    return [
      { label: "crm.stack", value: this.args.prefix },
      { label: "crm.name", value: name },
    ];
  }
}

/**
 * The engine's own key for a creation that failed half way: a port that was taken, a program that did not become healthy.
 * Without it the next update would find the container in the state and take it for good.
 */
const retried = ["#initerror"];

/** A preview creates nothing, and the recording runtime of render/ knows no hooks. */
const beforeCreate = (work: () => Promise<void>): pulumi.ResourceHookBinding | undefined => (pulumi.runtime.isDryRun() ? undefined : { beforeCreate: [work] });

/**
 * The loader, once it has ended well. The provider only notes how a one-shot ended; here that becomes a failed update,
 * on a repeated one too, because the note is in the state. One that was created and never started has said nothing, and
 * has code 0 after a refresh. A preview can only warn.
 */
function succeeded(loader: Container): pulumi.Output<Container> {
  return pulumi.all([loader.name, loader.exitCode, loader.containerLogs]).apply(([name, code, logs]) => {
    if (pulumi.runtime.isDryRun() ? !code : code === 0 && logs) return loader;
    const end = code ? `ended with code ${code}` : "has not run";
    const message = `${name} ${end}:\n${logs ?? ""}\nmend the configuration, or run the loader again with: pulumi up --replace '**::${name}'`;
    if (!pulumi.runtime.isDryRun()) throw new pulumi.RunError(message);
    void pulumi.log.warn(message);
    return loader;
  });
}

/** Published where the engine is. */
function publishedPorts(args: WorkloadArgs): types.input.ContainerPort[] {
  const extra = Object.entries(args.publishExtra ?? {}).map(([internal, external]) => ({ internal: Number(internal), external, ip: args.publishExtraOpenly ? "0.0.0.0" : "127.0.0.1" }));
  return args.publish === undefined ? extra : [{ internal: args.port, external: args.publish, ip: "127.0.0.1" }, ...extra];
}

/** Mount options of the folders in memory, by path. */
function scratchMounts(args: WorkloadArgs): Record<string, string> {
  const options = (sizeMiB: number, executable = false) =>
    `rw,${executable ? "exec" : "noexec"},nosuid,nodev,size=${sizeMiB}m,uid=${args.user},gid=${args.user},mode=0700`;
  return Object.fromEntries((args.scratch ?? []).map((s) => [s.mount, options(s.sizeMiB, s.executable)]));
}

/** Durations are written as the engine gives them back, so that a refresh shows no difference. */
function healthcheck(health: Health): types.input.ContainerHealthcheck {
  const tests =
    "http" in health
      ? ["CMD", "wget", "-q", ...(health.http.tls ? ["--no-check-certificate"] : []), "-O", "/dev/null", `http${health.http.tls ? "s" : ""}://127.0.0.1:${health.http.port}${health.http.path}`]
      : ["CMD", "bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/${health.tcp}`];
  return {
    tests,
    interval: goDuration(health.intervalSeconds ?? 5),
    timeout: goDuration(health.timeoutSeconds ?? 3),
    startPeriod: goDuration(health.startSeconds ?? 30),
    retries: health.retries ?? 5,
  };
}

/** 90 gives `1m30s`. */
function goDuration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds % 60}s`;
}
