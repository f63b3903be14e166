/** `npm run render -- --stack NAME --out DIR` */
import "../tools/runtime.mjs";

// Only now, so that packages are loaded compiled from the second call on: nearly all of the time goes into loading them.
const { renderArguments } = await import("./arguments.ts");
const { renderStack } = await import("./render.ts");

try {
  const { stack, out, overrides } = renderArguments("render", process.argv.slice(2));
  for (const warning of await renderStack(stack, out, { overrides })) console.warn(`warning: ${warning}`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
