/** The environment of crm-events. */
import { z } from "zod";
import { envTypes, kafkaEnv } from "../shared/env.ts";

/** What a frame may hold before its last event, and that event's id: with less, whoever is sent a large event is dropped for it. */
const bufferRoomBytes = 128 * 1024;

/** As browsers write it, in lower case and without the usual port; compared by letter, another spelling would let no page in. */
const isOrigin = (text: string): boolean => /^https?:\/\/[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;

export const eventsEnv = z
  .object({
    ...kafkaEnv,
    HOST: z.string().default("0.0.0.0"),
    PORT: envTypes.port(9010),
    LOG_LEVEL: envTypes.logLevel,
    KAFKA_GROUP: z.string().min(1).default("crm-events-sse"),
    KAFKA_DEAD_LETTER_TOPIC: z.string().min(1).default("aetherlink.events.dead-letters"),
    KAFKA_REPLICATION: envTypes.integer(1, 1),
    /** Most events kept for history and resume, and most bytes of them. */
    HISTORY_EVENTS: envTypes.integer(10_000, 1),
    HISTORY_BYTES: envTypes.integer(32 * 1024 * 1024, 1_024),
    /** A client that missed more events than this is told of a gap. */
    REPLAY_EVENTS: envTypes.integer(100_000, 1),
    /** Longer messages are parked. */
    MAX_EVENT_BYTES: envTypes.integer(256 * 1024, 64),
    /** A client with more unread bytes than this is dropped; at least `bufferRoomBytes` above MAX_EVENT_BYTES. */
    CLIENT_BUFFER_BYTES: envTypes.integer(1024 * 1024, 1),
    /** Streams and histories per address and minute; 0: no limit. */
    CONNECTS_PER_MINUTE: envTypes.integer(120),
    MAX_CLIENTS: envTypes.integer(12_000, 1),
    TLS_CERT_FILE: z.string().optional(),
    TLS_KEY_FILE: z.string().optional(),
    CORS_ORIGINS: envTypes.list.refine(
      (origins) => origins.every((origin) => origin === "*" || isOrigin(origin)),
      "origins, separated by commas, are expected: each scheme://host[:port] with http or https, in lower case, without path, closing slash or the scheme's own port, or * for any",
    ),
    TRUSTED_PROXIES: envTypes.list,
  })
  .superRefine((env, context) => {
    if ((env.TLS_CERT_FILE === undefined) !== (env.TLS_KEY_FILE === undefined)) {
      const missing = env.TLS_CERT_FILE === undefined ? "TLS_CERT_FILE" : "TLS_KEY_FILE";
      context.addIssue({ code: "custom", path: [missing], message: "TLS needs both TLS_CERT_FILE and TLS_KEY_FILE: set it too, or unset the other" });
    }
    const leastBuffer = env.MAX_EVENT_BYTES + bufferRoomBytes;
    if (env.CLIENT_BUFFER_BYTES < leastBuffer) {
      context.addIssue({ code: "custom", path: ["CLIENT_BUFFER_BYTES"], message: `at least ${leastBuffer} is expected, ${bufferRoomBytes} more than MAX_EVENT_BYTES, or a client would be dropped for one large event` });
    }
    if (env.KAFKA_DEAD_LETTER_TOPIC === env.KAFKA_TOPIC) {
      context.addIssue({ code: "custom", path: ["KAFKA_DEAD_LETTER_TOPIC"], message: "must be another topic than KAFKA_TOPIC, or bad messages would be read for ever" });
    }
  });

export type EventsEnv = z.infer<typeof eventsEnv>;
