// Looks up a free port and then a held one, each between marks that a system call trace shows.
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { portOwners } from '../../dist/index.mjs'

const mark = () => existsSync('/pidproof-bench-mark')

async function listenAnywhere() {
  const server = createServer().listen(0)
  await once(server, 'listening')
  return server
}

const closed = await listenAnywhere()
const free = closed.address().port
closed.close()
await once(closed, 'close')
const held = await listenAnywhere()
await portOwners(free)

mark()
await portOwners(free)
mark()
await portOwners(held.address().port)
mark()
held.close()
