declare module 'node-gyp-build' {
  /** Loads the addon of the package in `directory`; throws when none fits. */
  export default function load(directory: string): unknown
}
