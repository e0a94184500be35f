// Lint bans with reasons. Type-aware rules are on: a promise nobody awaits is a connection nobody closes.
import tseslint from 'typescript-eslint';

/** A ban with its reason. */
const bans = [
  {
    selector: 'ExportDefaultDeclaration',
    message: 'Named exports only: a name is the same everywhere.',
  },
  {
    selector: "CallExpression[callee.name='setInterval']",
    message: 'A clock that is passed in (src/runtime/clock.ts) can be moved by a test and is not forgotten.',
  },
];

const sharedRules = {
  '@typescript-eslint/no-floating-promises': 'error',
  '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
  '@typescript-eslint/await-thenable': 'error',
  '@typescript-eslint/no-explicit-any': 'error',
  '@typescript-eslint/no-unsafe-function-type': 'error',
  '@typescript-eslint/only-throw-error': 'error',
  '@typescript-eslint/prefer-promise-reject-errors': 'off', // the reason of an AbortSignal is passed on as it is
  '@typescript-eslint/consistent-type-imports': 'error',
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  eqeqeq: 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  'no-restricted-syntax': ['error', ...bans],
};

export default tseslint.config(
  { ignores: ['node_modules', 'build', 'dist', 'coverage', 'src/xds/generated'] },
  {
    files: ['src/**/*.ts', 'test/**/*.ts'],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: sharedRules,
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      // Only the command line talks to the terminal, and through src/cli/terminal.ts; all else logs.
      'no-console': 'error',
    },
  },
  {
    // They run before anything is installed, on any Node from 18 on.
    files: ['native/*.js', 'setup/*.js', 'bin/*.js'],
    rules: { eqeqeq: 'error', 'no-var': 'error', 'prefer-const': 'error' },
  },
);
