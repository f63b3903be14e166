import eslint from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["dist/", "out/", ".state/", "test-results/"] },
  eslint.configs.recommended,
  tseslint.configs.recommended,
  {
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      // The end-to-end tests read answers of other programs, whose types are theirs.
      "@typescript-eslint/no-explicit-any": "off",
      "prefer-const": ["error", { ignoreReadBeforeAssign: true }],
      // `asserted!` after a check that the compiler cannot follow is this repository's idiom.
      "@typescript-eslint/no-non-null-assertion": "off",
    },
  },
);
