/**
 * Which blocks Slack takes in a message: types, required fields and limits as its Block Kit reference gives them. Of types
 * that no alert needs only the name is checked.
 */
import { z } from "zod";

/** Blocks of a message, and of each of its attachments. */
const blocksLimit = 50;

const textOf = (types: readonly string[], limit: number) => z.looseObject({ type: z.enum(types), text: z.string().min(1).max(limit) });
const plainText = (limit: number) => textOf(["plain_text"], limit);
const anyText = (limit: number) => textOf(["plain_text", "mrkdwn"], limit);

const id = z.string().max(255).optional();
const address = z.string().max(3000);

/** Exactly one of the two says where the image is. */
const hasOneSource = (image: { image_url?: unknown; slack_file?: unknown }) => (image.image_url === undefined) !== (image.slack_file === undefined);
const imageFields = { type: z.literal("image"), alt_text: z.string().max(2000), image_url: address.optional(), slack_file: z.looseObject({}).optional() };
const imageElement = z.looseObject(imageFields).refine(hasOneSource);

const button = z.looseObject({ type: z.literal("button"), text: plainText(75), action_id: id, url: address.optional(), value: z.string().max(2000).optional(), style: z.enum(["primary", "danger"]).optional() });
const selects = ["static", "external", "users", "conversations", "channels"].flatMap((from) => [`${from}_select`, `multi_${from}_select`]);
const otherElement = z.looseObject({ type: z.enum(["checkboxes", "datepicker", "datetimepicker", "overflow", "radio_buttons", "rich_text_input", "timepicker", "workflow_button", ...selects]), action_id: id });
const interactive = z.union([button, otherElement]);

const section = z
  .looseObject({ type: z.literal("section"), block_id: id, text: anyText(3000).optional(), fields: z.array(anyText(2000)).max(10).optional(), accessory: z.union([interactive, imageElement]).optional() })
  .refine(({ text, fields = [] }) => text !== undefined || fields.length > 0);

const block = z.union([
  section,
  z.looseObject({ type: z.literal("header"), block_id: id, text: plainText(150) }),
  z.looseObject({ type: z.literal("divider"), block_id: id }),
  z.looseObject({ type: z.literal("context"), block_id: id, elements: z.array(z.union([anyText(3000), imageElement])).min(1).max(10) }),
  z.looseObject({ type: z.literal("actions"), block_id: id, elements: z.array(interactive).min(1).max(25) }),
  z.looseObject({ ...imageFields, block_id: id, title: plainText(2000).optional() }).refine(hasOneSource),
  z.looseObject({ type: z.literal("markdown"), block_id: id, text: z.string().min(1).max(12_000) }),
  // Not `file`, which Slack itself puts into messages, and not `alert`, which is for dialogs.
  z.looseObject({ type: z.enum(["card", "carousel", "container", "context_actions", "data_table", "data_visualization", "input", "plan", "rich_text", "table", "task_card", "video"]), block_id: id }),
]);

/** Whether Slack would take a message, or an attachment, with these blocks. */
export function blocksAreValid(blocks: readonly unknown[]): boolean {
  return blocks.length <= blocksLimit && blocks.every((value) => block.safeParse(value).success);
}
