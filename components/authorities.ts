/** Certificates of the authorities that a program trusts, beside its secret files. */
import { createHash } from "node:crypto";
import { secretsDir } from "./topology.ts";

/**
 * The file of an authority. Programs read it when they start, so its name changes with its content: then what names it
 * changes too, and with that the program is started anew.
 * @param of whose certificates it signs, such as `kafka`
 * @param pem its certificate; undefined gives undefined
 */
export function authorityFile(of: string, pem: string | undefined): { readonly path: string; readonly files: Readonly<Record<string, string>> } | undefined {
  if (pem === undefined) return undefined;
  const name = `${of}-ca-${createHash("sha256").update(pem).digest("hex").slice(0, 12)}.pem`;
  return { path: `${secretsDir}/${name}`, files: { [name]: pem } };
}
