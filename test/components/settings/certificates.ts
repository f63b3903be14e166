/** Certificates for tests, made without any other program: X.509 version 3 on P-256, as DER. */
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";

export interface Certificate {
  /** As PEM. */
  readonly cert: string;
  readonly key: string;
  readonly privateKey: KeyObject;
  readonly name: string;
}

export interface CertificateOptions {
  /** DNS names. @default none: an authority */
  readonly for?: readonly string[];
  /** @default itself */
  readonly by?: Certificate;
  /** @default a day from now */
  readonly until?: Date;
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const size = body.length < 128 ? [body.length] : body.length < 256 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const integer = (...bytes: number[]) => der(0x02, Buffer.from(bytes));
const time = (at: Date) => der(0x17, Buffer.from(`${at.toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`));
const commonName = (name: string) => sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from(name)))));
const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"));
const extension = (id: string, value: Buffer) => sequence(oid(id), der(0x04, value));
const yes = der(0x01, Buffer.from([0xff]));

/** Subject alternative names, or that it is an authority. */
const extensionsFor = (names: readonly string[]): Buffer =>
  names.length > 0 ? extension("551d11", sequence(...names.map((name) => der(0x82, Buffer.from(name))))) : extension("551d13", sequence(yes));

/** A certificate and its key, for `name` as the subject. */
export function makeCertificate(name: string, options: CertificateOptions = {}): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const body = sequence(
    der(0xa0, integer(2)),
    integer(1 + Math.floor(Math.random() * 126), 7),
    ecdsaWithSha256,
    commonName(options.by?.name ?? name),
    sequence(time(new Date(Date.now() - 864e5)), time(options.until ?? new Date(Date.now() + 864e5))),
    commonName(name),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(extensionsFor(options.for ?? []))),
  );
  const signature = sign("sha256", body, options.by?.privateKey ?? privateKey);
  const base64 = sequence(body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature)).toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return { cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`, key: privateKey.export({ type: "pkcs8", format: "pem" }) as string, privateKey, name };
}
