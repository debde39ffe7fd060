import tseslint from 'typescript-eslint';

const sources = ['reference', 'gpu', 'conformance', 'synthetic', 'training', 'preflight', 'test'];

export default tseslint.config(
  { ignores: ['dist', 'runs', 'node_modules', 'gpu/threads/kernels', 'synthetic/worlds/kernels'] },
  {
    files: ['cli.ts', 'vitest.config.ts', ...sources.map((room) => `${room}/**/*.ts`)],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
      ],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      // Shapes are checked at entry; what remains is indexing TypeScript cannot follow.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // One signature for operators that may be synchronous or not.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['reference/dialects/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: '^(?!\\.\\.?/[a-z])', message: 'reference/ imports nothing outside itself.' },
          ],
        },
      ],
    },
  },
  {
    files: ['reference/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [{ regex: '^(?!\\./)', message: 'reference/ imports nothing outside itself.' }],
        },
      ],
    },
  },
  {
    files: sources
      .filter((room) => room !== 'gpu' && room !== 'test')
      .map((room) => `${room}/**/*.ts`),
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        { patterns: [{ group: ['@tensorflow/*'], message: 'TensorFlow.js stays inside gpu/.' }] },
      ],
    },
  },
  {
    // Only commands print.
    files: sources.map((room) => `${room}/**/*.ts`),
    ignores: ['**/command.ts', '**/*-command.ts', 'test/**'],
    rules: { 'no-console': 'error' },
  },
  {
    // Vitest configuration must be a default export.
    files: ['vitest.config.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
);
