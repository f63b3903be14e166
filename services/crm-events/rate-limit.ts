/** How often an address may connect: a token bucket each, for a bounded number of addresses. */
import { BlockList, isIP, isIPv6 } from "node:net";

interface Bucket {
  tokens: number;
  /** When `tokens` was right, in milliseconds. */
  at: number;
}

/** Addresses remembered; the one that was seen longest ago is forgotten first. */
const maxAddresses = 50_000;

export class RateLimit {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  /**
   * @param perMinute connections per address and minute; also the size of a burst. 0: no limit
   * @param now milliseconds of a clock that never goes back
   */
  constructor(perMinute: number, now: () => number = performance.now.bind(performance)) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** @returns 0 when the address may connect now, which is counted; otherwise the seconds until it may */
  take(address: string): number {
    if (this.#perMinute === 0) return 0;
    const key = subscriberOf(address);
    const bucket = this.#refilled(key);
    // Moved to the end, so that the first key is the one seen longest ago.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > maxAddresses) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (bucket.tokens >= 1) {
      bucket.tokens--;
      return 0;
    }
    return Math.ceil(((1 - bucket.tokens) * 60) / this.#perMinute);
  }

  /** Forgets addresses that could burst again anyway. */
  sweep(): void {
    const full = this.#now() - 60_000;
    for (const [key, bucket] of this.#buckets) {
      if (bucket.at > full) break;
      this.#buckets.delete(key);
    }
  }

  get size(): number {
    return this.#buckets.size;
  }

  #refilled(key: string): Bucket {
    const now = this.#now();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#perMinute, at: now };
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + ((now - bucket.at) * this.#perMinute) / 60_000);
    bucket.at = now;
    return bucket;
  }
}

/** Who an address stands for: IPv4 by itself, IPv6 by its /64 network, which is what one subscriber gets. */
function subscriberOf(address: string): string {
  const plain = withoutMapping(address);
  if (!isIPv6(plain)) return plain;
  const [head = "", tail] = plain.split("::");
  const groups = head.split(":").filter((group) => group !== "");
  const rest = (tail ?? "").split(":").filter((group) => group !== "");
  const full = tail === undefined ? groups : [...groups, ...Array<string>(Math.max(0, 8 - groups.length - rest.length)).fill("0"), ...rest];
  return full.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "")).join(":");
}

/** `::ffff:10.0.0.1` as `10.0.0.1`. */
const withoutMapping = (address: string) => address.replace(/^::ffff:(?=\d+\.)/i, "");

/** Tells a client's own address behind proxies that may be believed. */
export class TrustedProxies {
  readonly #trusted = new BlockList();
  readonly #any: boolean;

  /**
   * @param ranges addresses or CIDR ranges, such as `10.0.0.0/8`
   * @throws Error that names the range that is none
   */
  constructor(ranges: readonly string[]) {
    this.#any = ranges.length > 0;
    for (const range of ranges) {
      const [address = "", prefix, ...rest] = range.split("/");
      const family = isIP(address) === 6 ? "ipv6" : "ipv4";
      const bits = prefix === undefined ? (family === "ipv6" ? 128 : 32) : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
      if (isIP(address) === 0 || rest.length > 0 || bits < 0 || bits > (family === "ipv6" ? 128 : 32)) throw new Error(`TRUSTED_PROXIES: "${range}" is neither an address nor a CIDR range such as 10.0.0.0/8`);
      this.#trusted.addSubnet(address, bits, family);
    }
  }

  /**
   * The address that limits apply to: the last one in `X-Forwarded-For` that no trusted proxy has, as long as the peer is trusted.
   * @param peer the connection's other end
   */
  clientOf(peer: string, forwardedFor: string | undefined): string {
    let client = withoutMapping(peer);
    if (!this.#any || forwardedFor === undefined) return client;
    const hops = forwardedFor.split(",").map((hop) => hop.trim());
    while (this.#trusts(client)) {
      const hop = hops.pop();
      if (hop === undefined || isIP(hop) === 0) break;
      client = withoutMapping(hop);
    }
    return client;
  }

  #trusts(address: string): boolean {
    return this.#trusted.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  }
}
