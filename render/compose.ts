/**
 * The Compose file of a Docker stack, made from the very resources that `pulumi up` would create. It keeps to what
 * Compose 1.29 and 2 share.
 */
import { stringify } from "yaml";
import { stageDir, volumeDir } from "../components/platform/loader.ts";
import type { Recorded } from "./record.ts";

interface Labelled {
  name: string;
  labels: { label: string; value: string }[];
}

interface ContainerInputs extends Labelled {
  image: string;
  hostname?: string;
  user: string;
  entrypoints?: string[];
  command?: string[];
  envs?: string[];
  readOnly?: boolean;
  init?: boolean;
  memory: number;
  cpus: string;
  volumes: { volumeName: string; containerPath: string; readOnly?: boolean }[];
  tmpfs?: Record<string, string>;
  uploads?: { file: string }[];
  networksAdvanced: { name: string; aliases?: string[] }[];
  ports?: { internal: number; external: number; ip: string }[];
  healthcheck?: { tests: string[]; interval: string; timeout: string; startPeriod: string; retries: number };
  restart: string;
  destroyGraceSeconds?: number;
  logOpts: Record<string, string>;
}

const header = `# Rendered from the Pulumi program; do not edit. Configuration is in ./config, secret files in ./secrets.
# Write the secret files first:   npm run render:secrets -- --stack NAME --out DIR
# Build the images if need be:    make images
# Apply:                          docker compose --project-directory DIR up -d
`;

const labelsOf = ({ labels }: Labelled) => Object.fromEntries(labels.map((l) => [l.label, l.value]));

/** Compose expands `$`; a script means it. */
const literal = (text: string) => text.replaceAll("$", "$$$$");

/**
 * @param prefix what all names of the stack begin with, such as `crm-dev`
 * @returns the file's text
 */
export function composeFile(prefix: string, resources: readonly Recorded[]): string {
  const of = <T>(type: string) => resources.filter((r) => r.type === `docker:index/${type}`).map((r) => r.inputs as T);
  const containers = of<ContainerInputs>("container:Container");
  const key = (name: string) => name.slice(prefix.length + 1);
  const loaderOf = new Map(containers.flatMap((c) => c.volumes.filter((v) => v.containerPath === volumeDir).map((v) => [v.volumeName, c.name] as const)));
  const networks = of<Labelled & { internal?: boolean }>("network:Network");
  const volumes = of<Labelled>("volume:Volume");
  const file = {
    services: Object.fromEntries(containers.map((c) => [key(c.name), service(c, key, loaderOf)])),
    networks: Object.fromEntries(networks.map((n) => [key(n.name), { name: n.name, driver: "bridge", ...(n.internal && { internal: true }), labels: labelsOf(n) }])),
    volumes: Object.fromEntries(volumes.map((v) => [key(v.name), { name: v.name, labels: labelsOf(v) }])),
  };
  return header + stringify(file, { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false });
}

function service(c: ContainerInputs, key: (name: string) => string, loaderOf: ReadonlyMap<string, string>) {
  const label = labelsOf(c);
  const loaders = c.volumes.map((v) => loaderOf.get(v.volumeName)).filter((l): l is string => l !== undefined && l !== c.name);
  return {
    container_name: c.name,
    image: c.image,
    ...(c.hostname && { hostname: c.hostname }),
    user: c.user,
    ...(c.entrypoints && { entrypoint: c.entrypoints.map(literal) }),
    ...(c.command && { command: c.command.map(literal) }),
    ...(c.envs?.length && { environment: c.envs.map(literal) }),
    ...(c.readOnly && { read_only: true }),
    ...(c.init && { init: true }),
    cap_drop: ["ALL"],
    security_opt: ["no-new-privileges:true"],
    mem_limit: `${c.memory}m`,
    memswap_limit: `${c.memory}m`,
    cpus: Number(c.cpus),
    pids_limit: Number(label["crm.limits.pids"]),
    volumes: [...c.volumes.map((v) => `${key(v.volumeName)}:${v.containerPath}${v.readOnly ? ":ro" : ""}`), ...stage(c, key)],
    ...(c.tmpfs && Object.keys(c.tmpfs).length > 0 && { tmpfs: Object.entries(c.tmpfs).map(([path, options]) => `${path}:${options}`) }),
    networks: Object.fromEntries(c.networksAdvanced.map((n) => [key(n.name), n.aliases ? { aliases: n.aliases } : null])),
    ...(c.ports?.length && { ports: c.ports.map((p) => `${p.ip}:${p.external}:${p.internal}`) }),
    ...(c.healthcheck && {
      healthcheck: { test: c.healthcheck.tests.map(literal), interval: c.healthcheck.interval, timeout: c.healthcheck.timeout, start_period: c.healthcheck.startPeriod, retries: c.healthcheck.retries },
    }),
    ...(loaders.length > 0 && { depends_on: Object.fromEntries(loaders.map((l) => [key(l), { condition: "service_completed_successfully" }])) }),
    restart: c.restart,
    ...(c.destroyGraceSeconds && { stop_grace_period: `${c.destroyGraceSeconds}s` }),
    logging: { driver: "json-file", options: c.logOpts },
    labels: label,
  };
}

/** A loader's uploads are folders here: `./config/<part>` or `./secrets/<part>`. */
function stage(c: ContainerInputs, key: (name: string) => string): string[] {
  if (!c.uploads?.length) return [];
  const match = /^(.+)-(config|secrets)-loader$/.exec(key(c.name));
  if (match === null) throw new Error(`${c.name} has uploads but is no loader`);
  return [`./${match[2]}/${match[1]}:${stageDir}:ro`];
}
