/** Where a replica that starts begins to read, so that its history holds the newest events of all partitions together. */

/** What is asked of the topic. */
export interface OffsetsByTime {
  /** First offset of each partition that is not older than a time in milliseconds; past the partition's end when there is none. */
  offsetsAt(time: number): Promise<readonly number[]>;
}

export interface Bounds {
  /** First offset held, by partition. */
  readonly starts: readonly number[];
  /** Next offset to be written, by partition. */
  readonly ends: readonly number[];
}

/** Searched no finer than this many milliseconds, and no further back than this many doublings of a second. */
const finestMs = 1;
const doublings = 32;

/**
 * Finds a time since which the topic has got as many messages as wanted, or up to a tenth fewer. Reading so many of each
 * partition instead would let old events of a busy partition push newer ones of a quiet one out of a bounded history.
 *
 * @param count most messages in all
 * @param now milliseconds since 1970
 * @returns where to begin in each partition
 */
export async function startsOfNewest(topic: OffsetsByTime, { starts, ends }: Bounds, count: number, now: number): Promise<number[]> {
  const since = (from: readonly number[]) => from.map((offset, p) => Math.min(Math.max(offset, starts[p]!), ends[p]!));
  const messages = (from: readonly number[]) => ends.reduce((sum, end, p) => sum + end - from[p]!, 0);
  if (messages(starts) <= count) return [...starts];
  // A second back, two, four: until there are too many; then between the last two.
  let best = [...ends];
  let [few, many] = [now, now];
  for (let i = 0; i < doublings && few === many; i++) {
    const earlier = now - 1000 * 2 ** i;
    const from = since(await topic.offsetsAt(earlier));
    if (messages(from) > count) many = earlier;
    else [best, few, many] = [from, earlier, earlier];
  }
  while (few - many > finestMs && messages(best) < 0.9 * count) {
    const middle = (few + many) / 2;
    const from = since(await topic.offsetsAt(Math.round(middle)));
    if (messages(from) > count) many = middle;
    else [best, few] = [from, middle];
  }
  // More than that within the newest millisecond, or at times to come: then the clocks cannot tell, and each has its share.
  return messages(best) > 0 ? best : since(ends.map((end) => end - Math.floor(count / ends.length)));
}
