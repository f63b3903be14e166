/** Names and labels of every object of a stack. */

/** The well-known labels of an object that belongs to a part of the stack. */
export function labelsOf(namespace: string, part: string): Record<string, string> {
  return { ...selectorOf(namespace, part), "app.kubernetes.io/part-of": "crm-observability", "app.kubernetes.io/managed-by": "pulumi" };
}

/** What selects the pods of a part. A StatefulSet's selector can never change, so it is kept to these two. */
export function selectorOf(namespace: string, part: string): Record<string, string> {
  return { "app.kubernetes.io/name": part, "app.kubernetes.io/instance": namespace };
}

/**
 * One owner of the fields for every update. Pulumi would choose a random one at each creation; after an interrupted
 * update, which is repeated, the first one would own them for ever, and what is left out later would never go away.
 */
const fieldManager = { "pulumi.com/patchFieldManager": "crm-observability" };

/** Metadata of an object: a fixed name, so that a preview, a rendered manifest and the cluster all say the same. */
export function metadataOf(namespace: string, part: string, name: string, annotations: Record<string, string> = {}) {
  return { name, namespace, labels: labelsOf(namespace, part), annotations: { ...fieldManager, ...annotations } };
}

/** Metadata of the namespace itself: the cluster refuses in it whatever falls short of Pod Security "restricted". */
export function namespaceMetadata(name: string) {
  const security = ["enforce", "warn", "audit"].flatMap((mode) => [
    [`pod-security.kubernetes.io/${mode}`, "restricted"],
    [`pod-security.kubernetes.io/${mode}-version`, "latest"],
  ]);
  return { name, labels: { ...labelsOf(name, "namespace"), ...Object.fromEntries(security) }, annotations: fieldManager };
}

/**
 * The name of the namespace of a stack.
 * @throws Error when the cluster would refuse it
 */
export function namespaceOf(stack: string): string {
  const name = `crm-${stack}`;
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) {
    throw new Error(
      `the stack name "${stack}" gives no valid Kubernetes namespace ("${name}"): use at most 59 lower-case letters, digits and inner '-', with pulumi stack rename`,
    );
  }
  return name;
}

/** Pulumi's own wait is for the pods behind a Service or the controller behind an Ingress; the StatefulSet's wait covers the pods. */
export const notAwaited = { "pulumi.com/skipAwait": "true" };
