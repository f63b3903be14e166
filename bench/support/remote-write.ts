/** Writes series into a Prometheus that has its remote-write receiver on: history without waiting for it. */

export interface History {
  /** Labels, `__name__` among them. */
  readonly labels: Readonly<Record<string, string>>;
  /** Value at a time in seconds. */
  readonly at: (time: number) => number;
}

/** Samples of one series in one request. */
const perSeries = 60;
/** Samples of one request. */
const perRequest = 60_000;

/**
 * Writes samples from `from` to `to` every `step` seconds, oldest first over all series, because the head of the
 * database takes nothing that is much older than its newest sample.
 * @returns how many samples were written
 * @throws Error with Prometheus's words when it refuses a request
 */
export async function writeHistory(promUrl: string, series: readonly History[], from: number, to: number, step: number): Promise<number> {
  let written = 0;
  for (let start = from; start <= to; start += perSeries * step) {
    const times: number[] = [];
    for (let t = start; t <= to && times.length < perSeries; t += step) times.push(t);
    for (let i = 0; i < series.length; i += perRequest / perSeries) {
      const batch = series.slice(i, i + perRequest / perSeries);
      await send(promUrl, Buffer.concat(batch.map((one) => field(1, timeSeries(one, times)))));
      written += batch.length * times.length;
    }
  }
  return written;
}

async function send(promUrl: string, request: Buffer): Promise<void> {
  const response = await fetch(`${promUrl}/api/v1/write`, {
    method: "POST",
    headers: { "content-type": "application/x-protobuf", "content-encoding": "snappy", "x-prometheus-remote-write-version": "0.1.0" },
    body: new Uint8Array(snappy(request)),
  });
  if (!response.ok) throw new Error(`remote write: ${response.status} ${await response.text()}`);
}

/** Protocol buffers: a length-delimited field. */
const field = (number: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([(number << 3) | 2]), varint(content.length), content]);

/** Labels in the order that the protocol wants, then samples as (double, int64 milliseconds). */
function timeSeries({ labels, at }: History, times: readonly number[]): Buffer {
  const names = Object.keys(labels).sort();
  const parts = names.map((name) => field(1, Buffer.concat([field(1, Buffer.from(name)), field(2, Buffer.from(labels[name]!))])));
  for (const time of times) {
    const value = Buffer.alloc(9);
    value[0] = (1 << 3) | 1;
    value.writeDoubleLE(at(time), 1);
    parts.push(field(2, Buffer.concat([value, Buffer.from([2 << 3]), varint(time * 1000)])));
  }
  return Buffer.concat(parts);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** Snappy's block format with one uncompressed literal: on one machine there is nothing to gain by compressing. */
function snappy(content: Buffer): Buffer {
  const tag = Buffer.alloc(5);
  tag[0] = 63 << 2;
  tag.writeUInt32LE(content.length - 1, 1);
  return Buffer.concat([varint(content.length), tag, content]);
}
