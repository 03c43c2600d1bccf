import { defineConfig } from "vite";

// Names without a hash: the files are embedded in the service, and no answer of it is cached.
export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    rollupOptions: {
      output: {
        entryFileNames: "console/app.js",
        chunkFileNames: "console/[name].js",
        assetFileNames: "console/app[extname]",
      },
    },
  },
});
