/** Runs the nodes' TypeScript as it is written: node strips the types, and finds what is imported without an ending. */

import { existsSync } from "node:fs";
import { registerHooks } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

// The real package, where `make n8n` has installed it; else our stand-in.
const built = process.env.STEMWRIGHT_N8N;
const real = built && new URL("node_modules/n8n-workflow/dist/cjs/index.js", pathToFileURL(`${resolve(built)}/`)).href;
const stub = new URL("workflow.mjs", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "n8n-workflow") return next(real || stub, context);
    const plain = specifier.startsWith(".") && context.parentURL && new URL(`${specifier}.ts`, context.parentURL);
    return next(plain && existsSync(fileURLToPath(plain)) ? plain.href : specifier, context);
  },
  load(url, context, next) {
    return next(url, url.endsWith(".ts") ? { ...context, format: "module-typescript" } : context);
  },
});
