/** `npm run render -- --stack NAME --out DIR` */
import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

// Nearly all of the time goes into loading packages; from the second call on they are loaded compiled.
enableCompileCache(fileURLToPath(new URL("../.state/compile-cache", import.meta.url)));
const { renderArguments } = await import("./arguments.ts");
const { renderStack } = await import("./render.ts");

try {
  const { stack, out, overrides } = renderArguments("render", process.argv.slice(2));
  for (const warning of await renderStack(stack, out, { overrides })) console.warn(`warning: ${warning}`);
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
