// Two builds into one folder of the Python package: the console, and the player as one script for other people's pages.
import { defineConfig } from "vite";

const outDir = "../src/stemwright/server/http/page/console";

const app = {
  base: "/console/",
  build: { outDir, emptyOutDir: true, target: "es2022", modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  server: { proxy: { "^/(console/api|api|s|openapi.json|llms.txt|docs)": "http://127.0.0.1:8000" } },
};

const player = {
  base: "./",
  build: {
    outDir,
    emptyOutDir: false,
    target: "es2022",
    lib: { entry: "src/player/element.ts", formats: ["es" as const], fileName: () => "stem-player.js" },
    rolldownOptions: { output: { chunkFileNames: "stem-player-[name]-[hash].js" } },
  },
};

export default defineConfig(({ mode }) => (mode === "player" ? player : app));
