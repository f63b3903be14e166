/**
 * The scripts of the one-shot loaders: how files reach a running program on Docker.
 *
 * A loader runs the program's own image as the program's own user. Its staged files are in /stage; the program's volume
 * is mounted at /tmp, because a fresh volume takes over that folder's open permissions and so needs no root to prepare
 * it. The scripts keep to what busybox and GNU tools share.
 */
import { createHash } from "node:crypto";
import type { ConfigArgs, Files } from "./platform.ts";

/** Where a loader finds the new files. */
export const stageDir = "/stage";
/** Where a loader has the program's volume. */
export const volumeDir = "/tmp";

/** Label of a program that must be restarted when its loader has brought another secret. */
export const restartLabel = "crm.restart-on-secrets";

/** SHA-256 over paths and contents, 12 hex digits: equal files, equal revision. */
export function revisionOf(files: Files): string {
  const hash = createHash("sha256");
  for (const path of Object.keys(files).sort()) hash.update(`${path}\0${files[path]}\0`);
  return hash.digest("hex").slice(0, 12);
}

/**
 * Stages a configuration, has the program's own checker check it, switches to it by one rename and has the running
 * program load it. A folder that is refused, by the checker or by the program, leaves the old one in place as a whole.
 * @param config the folder, its check and its reload
 * @param hosts names of the running replicas
 */
export function configScript(config: ConfigArgs, hosts: readonly string[]): string {
  const revision = `rev-${revisionOf(config.files)}`;
  return `set -eu
cd ${volumeDir}
old=$(readlink current || true)
switch() { ln -s "$1" .next && { mv -fT .next current 2>/dev/null || { rm -f current && mv -f .next current; }; }; }
rm -rf .new .next
cp -r ${stageDir} .new
NEW=${volumeDir}/.new
if ! ( ${config.check} ); then rm -rf .new; echo "configuration refused by its checker; the running one stays" >&2; exit 3; fi
if [ "$old" != ${revision} ]; then rm -rf ${revision}; mv .new ${revision}; switch ${revision}; else rm -rf .new; fi
${config.reload === undefined ? "" : reloadPart(config.reload, hosts)}
for dir in rev-*; do [ "$dir" = ${revision} ] || rm -rf "$dir"; done
echo "configuration ${revision} is in place"
`;
}

/** Nothing to ask at the very first load: the program starts after it. */
function reloadPart(reload: string, hosts: readonly string[]): string {
  return `reload() {
${reload}
}
if [ -n "$old" ]; then
  for HOST in ${hosts.join(" ")}; do
    if ! reload; then
      switch "$old"
      for HOST in ${hosts.join(" ")}; do reload >/dev/null 2>&1 || true; done
      echo "configuration refused by the running program; the old one is back" >&2
      exit 4
    fi
  done
fi`;
}

/**
 * A reload over HTTP: the program answers 200 only when it has loaded the new files. A program that does not run needs
 * no request, it reads them when it starts; one that runs but does not answer has not loaded them, which is a failure.
 * `timeout` bounds the requests because wget's own -T ends some builds of busybox 1.35 (Debian's) with a crash. The first
 * one may take long: the name of a program that does not run goes on to the host's resolvers, and where those cannot be
 * reached it is known only after 10 to 20 seconds to be nobody's.
 * @param port of the program, which serves /-/healthy and /-/reload
 * @param seconds that loading may take
 */
export function httpReload(port: number, seconds = 60): string {
  const url = `http://$HOST:${port}/-`;
  return `code=0
timeout 40 wget -q -O /dev/null ${url}/healthy || code=$?
case $code in
0) timeout ${seconds} wget -q -O - --post-data= ${url}/reload ;;
1) echo "$HOST does not answer; it will read the new files when it starts" ;;
*) echo "$HOST runs but gave no answer (code $code)" >&2; false ;;
esac`;
}

/**
 * Replaces each secret file that has changed by a rename inside the program's own volume, removes those that are gone,
 * and empties the loader's staged copies, so that the volume holds the only one. A file that stays keeps its time, which
 * tells when the secret was changed. An empty stage is a mistake and no wish to have no secrets: a program without any
 * has no such loader, and Compose makes an empty folder of one that was never rendered.
 */
export const secretsScript = `set -eu
umask 377
cd ${volumeDir}
set -- ${stageDir}/*
if ! [ -e "$1" ]; then echo "no secret files staged; run: npm run render:secrets -- --stack STACK --out DIR, with the stack and folder of compose.yaml" >&2; exit 5; fi
for path in "$@"; do
  name=\${path##*/}
  [ -s "$path" ] || continue
  if cmp -s "$path" "$name"; then continue; fi
  rm -f ".next.$name"
  cat "$path" > ".next.$name"
  mv -f ".next.$name" "$name"
done
for name in *; do [ -e "${stageDir}/$name" ] || rm -f "$name"; done
for path in "$@"; do ( : > "$path" ) 2>/dev/null || true; done
echo "secret files are in place"
`;
