/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  moduleFileExtensions: ['ts', 'cjs', 'js', 'mjs', 'json', 'node'],
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/build/'],
  // tsc checks the types; here they are only stripped (isolatedModules), so that a file starts in under a second.
  transform: { '\\.ts$': ['ts-jest', { tsconfig: 'tsconfig.json', diagnostics: false }] },
  maxWorkers: 1,
  testTimeout: 60_000,
}
