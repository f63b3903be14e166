/** What resuming streams need of the topic beyond the replica's own history. */
import type { FreshEvent } from "./hub.ts";
import type { TopicBounds } from "./topic-reader.ts";

/** The offset is not, or no longer, in the partition. */
export class OffsetOutOfRange extends Error {
  override readonly name = "OffsetOutOfRange";
}

export interface LogSlice {
  readonly events: readonly FreshEvent[];
  /** Next offset behind the slice, behind what is no event too. */
  readonly next: number;
}

/** Where the topic stood at a time, as far as its messages' own times tell. */
export interface LogTimes {
  /** Incarnation of the topic that the offsets belong to. */
  readonly epoch: string;
  /** First message of each partition that is not older; Infinity where there is none, undefined where no leader can be asked. */
  readonly next: readonly (number | undefined)[];
}

export interface TopicLog {
  /**
   * Reads a partition from an offset on, up to some hundred KiB.
   * @param epoch incarnation of the topic that the offset belongs to
   * @throws OffsetOutOfRange when Kafka does not hold that offset, or holds another incarnation
   * @throws any other error when Kafka cannot be reached; the caller tries again
   */
  read(epoch: string, partition: number, from: number): Promise<LogSlice>;
  /**
   * First offset held and next offset to be written, by partition, where it has a leader; they may be those of a moment ago.
   * @param seen offsets that a client says it has reached: ends below them are asked for anew, for the client may have been
   *   given by another replica what was written since
   * @throws when Kafka cannot be reached
   */
  bounds(seen?: readonly number[]): Promise<TopicBounds>;
  /**
   * Where the topic stood at a time, or some seconds earlier: many clients that came one after the other are given one answer.
   * @param time milliseconds since 1970
   * @throws when Kafka cannot be reached
   */
  since(time: number): Promise<LogTimes>;
}
