import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import {
  formatIdentity,
  identify,
  type ProcessIdentity,
  parseIdentity,
  sameProcess,
  verify,
  verifySync,
} from '../../lib/identity'
import { openProcess, signalProcess, signalProcessSync } from '../../lib/ref'
import { descendants } from '../../lib/relatives'
import { waitForExit } from '../../lib/wait'
import type { Can, Case } from './cases'
import { type Fixture, spawnFixture } from './fixture'
import { livesByHand, startTicksByHand, statByHand } from './proc-by-hand'
import { until } from './until'

const deadline = { timeoutMs: 10_000 }

function shifted(identity: ProcessIdentity): ProcessIdentity {
  return { ...identity, startToken: String(BigInt(identity.startToken) + 1n), unique: null }
}

/** The identity of a process that is gone by now. */
async function goneIdentity(): Promise<ProcessIdentity> {
  const fixture = await spawnFixture('forever')
  const identity = await identify(fixture.pid)
  await fixture.end()
  return identity
}

/** How a process ended, as far as this kernel tells; never a wrong answer. */
function assertExit(
  exit: { exitCode: number | null; signal: string | null },
  expected: { exitCode: number | null; signal: string | null },
  can: Can,
): void {
  const isUntold = exit.exitCode === null && exit.signal === null
  if (can.exitStatus || !isUntold) {
    assert.deepEqual({ exitCode: exit.exitCode, signal: exit.signal }, expected)
  }
}

async function assertUnharmed(fixture: Fixture): Promise<void> {
  assert.equal(livesByHand(fixture.pid), true)
  assert.equal(await verify(await identify(fixture.pid)), 'running')
}

export const identityCases: readonly Case[] = [
  {
    title: 'an identity has the start ticks of stat, and a unique id where there are pidfs inodes',
    run: async (can) => {
      const fixture = await spawnFixture('forever')
      const identity = await identify(fixture.pid)
      assert.equal(identity.pid, fixture.pid)
      assert.equal(identity.startToken, startTicksByHand(fixture.pid))
      assert.equal(identity.unique !== null, can.uniqueIds)
      assert.equal(await verify(identity), 'running')
      assert.equal(verifySync(identity), 'running')
      assert.equal(sameProcess(identity, parseIdentity(formatIdentity(identity))), 'same')
    },
  },
  {
    title: 'a zombie is a zombie, and gone once it is reaped',
    run: async () => {
      const fixture = await spawnFixture('tree top(z:zombie)')
      const identity = await identify(fixture.pidOf('z'))
      assert.equal(await verify(identity), 'zombie')
      assert.equal((await openProcess(identity)).state(), 'zombie')
      await fixture.end()
      await until('the zombie is reaped', () => statByHand(identity.pid) === undefined)
      assert.equal(await verify(identity), 'gone')
      assert.equal(verifySync(identity), 'gone')
    },
  },
  {
    title: 'a process whose first thread has ended is running, takes a signal and ends once',
    run: async (can) => {
      const fixture = await spawnFixture('leader-exit')
      const identity = await identify(fixture.pid)
      assert.equal(await verify(identity), 'running')
      const ref = await openProcess(identity)
      assert.equal(ref.state(), 'running')
      await assert.rejects(waitForExit(identity, { timeoutMs: 0 }), { code: 'ETIMEDOUT' })
      const exited = ref.exited(deadline)
      assert.deepEqual(await ref.signal('SIGTERM'), { delivered: true, outcome: 'sent', atomic: can.atomicSignals })
      assertExit(await exited, { exitCode: null, signal: 'SIGTERM' }, can)
    },
  },
  {
    title: 'a record with another start token is replaced, and nobody is signalled through it',
    run: async () => {
      const fixture = await spawnFixture('forever')
      const other = shifted(await identify(fixture.pid))
      assert.equal(await verify(other), 'replaced')
      assert.equal(verifySync(other), 'replaced')
      const refused = { delivered: false, outcome: 'replaced', atomic: null }
      assert.deepEqual(await signalProcess(other, 'SIGKILL'), refused)
      assert.deepEqual(signalProcessSync(other, 'SIGKILL'), refused)
      await assert.rejects(openProcess(other), { code: 'ERR_PROCESS_REPLACED' })
      assert.equal((await waitForExit(other, deadline)).alreadyGone, true)
      await assertUnharmed(fixture)
    },
  },
  {
    title: 'a record with another unique id is replaced wherever ids can be compared',
    run: async (can) => {
      const fixture = await spawnFixture('forever')
      const identity = await identify(fixture.pid)
      const other = { ...identity, unique: String(BigInt(identity.unique ?? 1) + 1n) }
      assert.equal(await verify(other), can.uniqueIds ? 'replaced' : 'running')
      const garbled = { ...identity, startToken: shifted(identity).startToken }
      assert.notEqual(await verify(garbled), 'running')
      assert.equal((await signalProcess(garbled, 'SIGKILL')).delivered, false)
      await assertUnharmed(fixture)
    },
  },
  {
    title: 'a record without a unique id is compared by its start token',
    run: async () => {
      const fixture = await spawnFixture('forever')
      assert.equal(await verify({ ...(await identify(fixture.pid)), unique: null }), 'running')
    },
  },
  {
    title: 'a signal reaches its process, and says whether it could have reached another',
    run: async (can) => {
      for (const send of [signalProcess, signalProcessSync]) {
        const fixture = await spawnFixture('forever')
        const sent = await send(await identify(fixture.pid), 'SIGTERM')
        assert.deepEqual(sent, { delivered: true, outcome: 'sent', atomic: can.atomicSignals })
        assert.deepEqual(await fixture.exited, { code: null, signal: 'SIGTERM' })
      }
    },
  },
  {
    title: 'a signal to a zombie or to nobody is not delivered',
    run: async () => {
      const fixture = await spawnFixture('tree top(z:zombie)')
      const zombie = await identify(fixture.pidOf('z'))
      const gone = { delivered: false, outcome: 'already-gone', atomic: null }
      assert.deepEqual(await signalProcess(zombie, 'SIGKILL'), gone)
      assert.deepEqual(signalProcessSync(zombie, 'SIGKILL'), gone)
      const nobody = await goneIdentity()
      assert.deepEqual(await signalProcess(nobody, 'SIGKILL'), gone)
      await assert.rejects(openProcess(nobody), { code: 'ESRCH' })
    },
  },
  {
    title: 'a stopped process keeps SIGTERM until SIGCONT, and dies of SIGKILL at once',
    run: async (can) => {
      const fixture = await spawnFixture('tree top(a:stopped,b:stopped)')
      const [a, b] = await Promise.all(['a', 'b'].map((name) => identify(fixture.pidOf(name))))
      assert.ok(a && b)
      const [first, second] = [(await openProcess(a)).exited(deadline), (await openProcess(b)).exited(deadline)]
      await signalProcess(a, 'SIGTERM')
      assert.equal(statByHand(a.pid)?.state, 'T')
      await signalProcess(a, 'SIGCONT')
      await signalProcess(b, 'SIGKILL')
      assertExit(await first, { exitCode: null, signal: 'SIGTERM' }, can)
      assertExit(await second, { exitCode: null, signal: 'SIGKILL' }, can)
    },
  },
  {
    title: 'an exit is told with its code, whoever the parent is',
    run: async (can) => {
      const fixture = await spawnFixture('exit 7')
      // Pinned before it may end: of one that is reaped by then nothing is known.
      const exited = (await openProcess(await identify(fixture.pid))).exited(deadline)
      fixture.tell('now')
      assertExit(await exited, { exitCode: 7, signal: null }, can)
      assert.deepEqual(await fixture.exited, { code: 7, signal: null })
      const dying = await spawnFixture('die-by 10')
      const died = (await openProcess(await identify(dying.pid))).exited(deadline)
      dying.tell('now')
      assertExit(await died, { exitCode: null, signal: 'SIGUSR1' }, can)
    },
  },
  {
    title: 'a wait for several ends when all have exited, and names the survivors when time is over',
    run: async () => {
      const fixtures = await Promise.all(Array.from({ length: 8 }, () => spawnFixture('+deaf forever')))
      const identities = await Promise.all(fixtures.map(({ pid }) => identify(pid)))
      const [survivor, ...others] = identities
      assert.ok(survivor)
      for (const identity of others) await signalProcess(identity, 'SIGKILL')
      await assert.rejects(waitForExit(identities, { timeoutMs: 200 }), {
        code: 'ETIMEDOUT',
        survivors: [survivor.pid],
      })
      await signalProcess(survivor, 'SIGKILL')
      assert.equal((await waitForExit(identities, deadline)).length, identities.length)
    },
  },
  {
    title: 'a reference outlives its process and never speaks of a successor',
    run: async () => {
      const fixture = await spawnFixture('forever')
      const ref = await openProcess(await identify(fixture.pid))
      await fixture.end()
      assert.equal(ref.state(), 'gone')
      assert.equal((await ref.signal('SIGKILL')).outcome, 'already-gone')
      assert.equal((await ref.exited(deadline)).alreadyGone, true)
      ref.close()
    },
  },
  {
    title: 'a thread is not a process',
    run: async () => {
      const thread = readdirSync('/proc/self/task')
        .map(Number)
        .find((id) => id !== process.pid)
      assert.ok(thread)
      await assert.rejects(identify(thread), { code: 'ESRCH' })
      const itself = { ...(await identify(process.pid)), pid: thread, unique: null }
      const record = { ...itself, startToken: statByHand(thread)?.startTicks ?? '' }
      assert.equal(await verify(record), 'gone')
      assert.equal((await signalProcess(record, 'SIGKILL')).delivered, false)
    },
  },
  {
    title: 'descendants are found',
    run: async () => {
      const fixture = await spawnFixture('tree top(a(aa:setsid(aaa),ab:pgrp),z:zombie,d:double(dd))')
      const found = (await descendants(fixture.pid)).map(({ pid }) => pid).sort()
      assert.deepEqual(found, ['a', 'aa', 'aaa', 'ab', 'z'].map((name) => fixture.pidOf(name)).sort())
      const threaded = await spawnFixture('thread-child')
      const children = (await descendants(threaded.pid)).map(({ pid }) => pid)
      assert.deepEqual(children, [threaded.pidOf('child')])
    },
  },
  {
    title: 'a thousand children are found, all of them',
    run: async () => {
      const fixture = await spawnFixture('children 1000', { timeoutMs: 30_000 })
      const found = (await descendants(fixture.pid)).map(({ pid }) => pid).sort()
      const expected = Array.from({ length: 1000 }, (_, index) => fixture.pidOf(`child${index}`)).sort()
      assert.deepEqual(found, expected)
      await fixture.end()
    },
  },
]
