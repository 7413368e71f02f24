import { defineConfig } from 'vite';

export default defineConfig({
  root: 'app',
  resolve: { alias: { 'react-router-dom-v5-compat': 'react-router-dom' } },
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  esbuild: { jsx: 'transform' },
  build: { outDir: '../dist', emptyOutDir: true, target: 'esnext', minify: false, chunkSizeWarningLimit: 1e6 },
});
