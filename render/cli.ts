/** `npm run render -- --stack NAME --out DIR` */
import { renderArguments } from "./arguments.ts";
import { renderStack } from "./render.ts";

try {
  const { stack, out, overrides } = renderArguments("render", process.argv.slice(2));
  for (const warning of await renderStack(stack, out, { overrides })) console.warn(`warning: ${warning}`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
