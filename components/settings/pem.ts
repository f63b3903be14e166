/** Certificates and keys, given as PEM text. Messages say what is expected and never repeat what was given. */
import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { z } from "zod";

interface Block {
  /** Such as `CERTIFICATE`. */
  readonly label: string;
  readonly text: string;
}

/** The blocks of a PEM text; what stands between them is for people. */
const blocksOf = (text: string): Block[] => [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g)].map((m) => ({ label: m[1]!, text: m[0] }));

/** @returns undefined when one of the blocks is no certificate, or there is none */
function certificatesOf(text: string): X509Certificate[] | undefined {
  const blocks = blocksOf(text);
  if (blocks.length === 0 || blocks.some(({ label }) => label !== "CERTIFICATE")) return undefined;
  try {
    return blocks.map((b) => new X509Certificate(b.text));
  } catch {
    return undefined;
  }
}

/** @returns undefined when there is not exactly one key, or it needs a password */
function keyOf(text: string): KeyObject | undefined {
  const keys = blocksOf(text).filter(({ label }) => label !== "EC PARAMETERS");
  if (keys.length !== 1) return undefined;
  try {
    return createPrivateKey(keys[0]!.text);
  } catch {
    return undefined;
  }
}

/** Certificates and nothing else, which are written as they are read. */
const certificates = (whereKeysBelong: string) =>
  z
    .string()
    .refine((text) => !text.includes("PRIVATE KEY-----"), { error: `holds a private key, ${whereKeysBelong}`, abort: true })
    .refine((text) => certificatesOf(text) !== undefined, "must be PEM: from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, with its line breaks")
    .overwrite((text) => blocksOf(text).map((b) => `${b.text}\n`).join(""));

/** Who signs the certificate of a server. It is no secret and shown. */
export const authority = certificates("which everything rendered would show: leave it out");
/** A server's certificate, and those between it and who signed it. */
export const certificateChain = certificates("which belongs in crmEventsKey");

/** A key that a program can read without anybody there to type a password. */
export const privateKey = z
  .string()
  .refine((text) => !text.includes("ENCRYPTED"), { error: "needs a password, which nobody could type: write it without one, with openssl pkey", abort: true })
  .refine((text) => keyOf(text) !== undefined, "must be one private key as PEM: from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----, with its line breaks")
  .overwrite((text) => `${text.trim()}\n`);

/** Whether `key` is that of a chain's first certificate; both are texts that are accepted here. */
export const isKeyOf = (chain: string, key: string): boolean => certificatesOf(chain)![0]!.checkPrivateKey(keyOf(key)!);

/** Whether clients that expect `name` take the chain's first certificate. Those in Go read DNS names only, never the subject. */
export const isFor = (chain: string, name: string): boolean => certificatesOf(chain)![0]!.checkHost(name, { subject: "never", partialWildcards: false }) !== undefined;

/** Whether clients that trust the certificates of `ca` alone find one that signed a chain's certificates, or is one of them. */
export function isTrustedBy(chain: string, ca: string): boolean {
  const authorities = certificatesOf(ca)!;
  return certificatesOf(chain)!.some((c) => authorities.some((a) => a.raw.equals(c.raw) || c.verify(a.publicKey)));
}

/** When the first certificate of a chain ends. */
export const endOf = (chain: string): Date => new Date(certificatesOf(chain)![0]!.validTo);
