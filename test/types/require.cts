// A CommonJS program sees the same types as an ESM one.
import pidproof = require('pidproof')

export const identity: Promise<pidproof.ProcessIdentity> = pidproof.identify(1)
export const error: NodeJS.ErrnoException = new pidproof.TimedOutError('late')

// @ts-expect-error no such export
export const missing = pidproof.killByName
