import { constants } from 'node:os'
import type { ProcessIdentity } from '../lib/identity'
import { openProcess } from '../lib/ref'
import { type Progress, type TerminateOptions, terminate } from '../lib/terminate'
import { expectClean, outcomeOf, signalsTo, summary } from './helpers/ending'
import { FakeBinding, type FakeProcess, type FakeProcessInit } from './helpers/fake-binding'

const { SIGTERM, SIGKILL, SIGSTOP, SIGCONT } = constants.signals
const deaf: FakeProcessInit = { ignores: [SIGTERM] }
const quick: TerminateOptions = { graceMs: 150, killWaitMs: 1000 }
const group: TerminateOptions = { ...quick, scope: 'group' }
const tree: TerminateOptions = { ...quick, scope: 'tree' }

/** All of one scope, with bystanders that must live: one alone, the caller, and its shell. */
async function end(fake: FakeBinding, targets: ProcessIdentity | ProcessIdentity[], options: TerminateOptions) {
  const bystander = fake.add({ name: 'bystander' })
  const report = await terminate(targets, options, fake)
  expect(fake.alive()).toEqual(expect.arrayContaining([1, 400, 500, bystander.pid]))
  expect(fake.delivered.some(({ pid }) => [1, 2, 400, 500, bystander.pid].includes(pid))).toBe(false)
  expectClean(fake)
  return report
}

describe('scope group', () => {
  test('ends the members of a target’s group, and nobody else', async () => {
    const fake = new FakeBinding()
    const leader = fake.add()
    const members = [fake.fork(leader.pid), fake.fork(leader.pid, { ...deaf, state: 'T' })]
    const child = fake.fork(leader.pid, { pgid: 7777 })
    const report = await end(fake, fake.identity(leader.pid), group)
    expect(Object.values(summary(report))).toEqual(['exited', 'exited', 'killed'])
    expect(outcomeOf(report, members[0]?.pid ?? 0)).toMatchObject({
      role: 'member',
      evidence: [{ part: 'group', expected: String(leader.pid), holds: true }],
    })
    expect(fake.alive()).toContain(child.pid)
    expect(report).toMatchObject({ ok: true, settled: true })
  })

  test('the target need not be the leader', async () => {
    const fake = new FakeBinding()
    const leader = fake.add()
    const member = fake.fork(leader.pid)
    const report = await end(fake, fake.identity(member.pid), group)
    expect(summary(report)).toEqual({ [member.pid]: 'exited', [leader.pid]: 'exited' })
    expect(report.outcomes.map(({ role }) => role)).toEqual(['target', 'member'])
  })

  test('the caller’s own group is refused, an undetached child included', async () => {
    const fake = new FakeBinding()
    const child = fake.fork(500)
    const report = await end(fake, fake.identity(child.pid), group)
    expect(summary(report)).toEqual({ [child.pid]: 'refused: own-group' })
    expect(fake.alive()).toContain(child.pid)
  })

  test('the group of an ancestor is refused', async () => {
    const fake = new FakeBinding()
    const sibling = fake.add({ pgid: 400 })
    const report = await end(fake, fake.identity(sibling.pid), group)
    expect(summary(report)).toEqual({ [sibling.pid]: 'refused: ancestor' })
  })

  test.each([
    [0, 'other-namespace'],
    [1, 'init'],
  ])('group %i cannot be ended: %s', async (pgid, reason) => {
    const fake = new FakeBinding()
    // The chain above the caller must not be in that group itself.
    fake.get(1).pgid = 1 - pgid
    const { pid } = fake.add({ pgid })
    const report = await end(fake, fake.identity(pid), group)
    expect(summary(report)).toEqual({ [pid]: `refused: ${reason}` })
  })

  test('a member that may not be ended is refused and the others end', async () => {
    const fake = new FakeBinding()
    const leader = fake.add()
    const [foreign, own] = [fake.fork(leader.pid, { uid: 1001 }), fake.fork(leader.pid)]
    const report = await end(fake, fake.identity(leader.pid), group)
    expect(summary(report)).toEqual({
      [leader.pid]: 'exited',
      [foreign.pid]: 'refused: other-user',
      [own.pid]: 'exited',
    })
    expect(report.ok).toBe(false)
    expect(fake.delivered.every(({ scope }) => scope === 0)).toBe(true)
  })

  test('a target that is refused brings nobody in', async () => {
    const fake = new FakeBinding()
    const foreign = fake.add({ uid: 1001 })
    const own = fake.fork(foreign.pid, { uid: 1000 })
    const report = await end(fake, fake.identity(foreign.pid), group)
    expect(summary(report)).toEqual({ [foreign.pid]: 'refused: other-user' })
    expect(fake.alive()).toContain(own.pid)
  })

  test('a zombie brings in its group', async () => {
    const fake = new FakeBinding()
    const leader = fake.add({ notReaped: true })
    const member = fake.fork(leader.pid)
    fake.exit(leader.pid)
    const report = await end(fake, fake.identity(leader.pid), group)
    expect(summary(report)).toEqual({ [leader.pid]: 'already-gone', [member.pid]: 'exited' })
  })

  test('what a member forks when it is asked ends as well', async () => {
    const fake = new FakeBinding()
    const born: FakeProcess[] = []
    const leader = fake.add({ onSignal: (signal) => signal === SIGTERM && born.push(fake.fork(leader.pid, deaf)) })
    const report = await end(fake, fake.identity(leader.pid), group)
    expect(summary(report)).toEqual({ [leader.pid]: 'exited', [born[0]?.pid ?? 0]: 'killed' })
    expect(signalsTo(fake, born[0]?.pid ?? 0)[0]).toBe(SIGTERM)
    expect(report.ok).toBe(true)
  })

  describe('without its leader', () => {
    function orphaned(options = {}) {
      const fake = new FakeBinding(options)
      const leader = fake.add()
      const members = [fake.fork(leader.pid), fake.fork(leader.pid, deaf)]
      const identity = fake.identity(leader.pid)
      return { fake, leader, members, identity }
    }

    test('is proven by a reference pinned while the leader lived', async () => {
      const { fake, leader, members, identity } = orphaned()
      const ref = await openProcess(identity, fake)
      fake.exit(leader.pid)
      const report = await terminate(ref, group, fake)
      expect(Object.values(summary(report))).toEqual(['already-gone', 'exited', 'killed'])
      expect(fake.alive()).not.toEqual(expect.arrayContaining(members.map(({ pid }) => pid)))
      ref.close()
      expectClean(fake)
    })

    test('is proven by the identity where the kernel can reopen it', async () => {
      const { fake, leader, identity } = orphaned()
      fake.exit(leader.pid)
      const report = await end(fake, identity, group)
      expect(Object.values(summary(report))).toEqual(['already-gone', 'exited', 'killed'])
    })

    test('is proven by a live target in it', async () => {
      const { fake, leader, members } = orphaned({ groupSignals: false })
      fake.exit(leader.pid)
      const report = await end(fake, fake.identity(members[1]?.pid ?? 0), group)
      expect(report.outcomes.map(({ outcome }) => outcome)).toEqual(['killed', 'exited'])
    })

    test.each([{ groupSignals: false }, { uniqueIds: false }])('is unproven otherwise: %p', async (options) => {
      const { fake, leader, members, identity } = orphaned(options)
      fake.exit(leader.pid)
      const report = await end(fake, identity, group)
      expect(summary(report)).toEqual({
        [leader.pid]: 'already-gone',
        [members[0]?.pid ?? 0]: 'refused: unproven-group',
        [members[1]?.pid ?? 0]: 'refused: unproven-group',
      })
      expect(fake.delivered).toEqual([])
      expect(report.ok).toBe(false)
    })

    test('that has its number reused is a group of strangers', async () => {
      const { fake, leader, members, identity } = orphaned()
      for (const { pid } of members) fake.exit(pid)
      const stranger = fake.reuse(leader.pid)
      const helper = fake.fork(stranger.pid)
      const report = await end(fake, identity, group)
      expect(summary(report)).toEqual({ [leader.pid]: 'replaced' })
      expect(fake.alive()).toEqual(expect.arrayContaining([stranger.pid, helper.pid]))
    })

    test('whose number is reused while it is ended stays alone', async () => {
      const fake = new FakeBinding({ groupSignals: false })
      const leader = fake.add()
      let stranger: FakeProcess | undefined
      let helper: FakeProcess | undefined
      leader.onSignal = (signal) => {
        if (signal !== SIGTERM) return
        stranger = fake.reuse(leader.pid)
        helper = fake.fork(stranger.pid)
      }
      const report = await end(fake, fake.identity(leader.pid), group)
      expect(report.outcomes.map(({ outcome }) => outcome)).toEqual(['exited'])
      expect(fake.alive()).toEqual(expect.arrayContaining([stranger?.pid, helper?.pid]))
    })
  })
})

describe('scope tree', () => {
  test('ends all that descends from a target, in whatever group or session, and nobody beside it', async () => {
    const fake = new FakeBinding()
    const parent = fake.add()
    const root = fake.fork(parent.pid)
    const sibling = fake.fork(parent.pid)
    const child = fake.fork(root.pid)
    const daemon = fake.fork(child.pid, { ...deaf, pgid: 7001, sid: 7001, pid: 7001, state: 'T' })
    const grandchild = fake.fork(daemon.pid, { pid: 7002 })
    const report = await end(fake, fake.identity(root.pid), tree)
    expect(Object.keys(summary(report)).map(Number).sort()).toEqual(
      [root.pid, child.pid, daemon.pid, grandchild.pid].sort(),
    )
    expect(report).toMatchObject({ ok: true, settled: true })
    expect(outcomeOf(report, child.pid).evidence).toEqual([
      { part: 'tree', expected: 'descendant of a target', found: `child of pid ${root.pid}`, holds: true },
    ])
    expect(fake.alive()).toEqual(expect.arrayContaining([parent.pid, sibling.pid]))
  })

  test('finds double forks by the group and the session that a member led', async () => {
    const fake = new FakeBinding()
    const root = fake.add()
    const middle = fake.fork(root.pid, { pid: 6000, pgid: 6000, sid: 6000 })
    // Forked and orphaned before anybody can look: nothing but the numbers tells whose they are.
    middle.onSignal = (signal) => {
      if (signal !== SIGTERM) return
      fake.fork(middle.pid, { pid: 6001 })
      fake.fork(middle.pid, { ...deaf, pid: 6002, pgid: 6002 })
      fake.exit(middle.pid)
    }
    const report = await end(fake, fake.identity(root.pid), tree)
    expect(summary(report)).toMatchObject({ 6001: 'exited', 6002: 'killed' })
    expect(outcomeOf(report, 6002).evidence).toEqual([
      { part: 'session', expected: '6000', found: '6000', holds: true },
    ])
    expect(report).toMatchObject({ ok: true, settled: true })
  })

  test('finds them by the group also where the session is our own and pulls nothing in', async () => {
    const fake = new FakeBinding()
    const root = fake.add({ pid: 6100, pgid: 6100, sid: 400 })
    root.onSignal = (signal) => {
      if (signal !== SIGTERM) return
      fake.fork(root.pid, { pid: 6101 })
      fake.exit(root.pid)
    }
    const neighbour = fake.add({ pid: 6200, pgid: 6200, sid: 400 })
    const report = await end(fake, fake.identity(root.pid), tree)
    expect(summary(report)).toEqual({ 6100: 'exited', 6101: 'exited' })
    expect(fake.alive()).toContain(neighbour.pid)
  })

  test('a dead root is remembered by the group it led', async () => {
    const fake = new FakeBinding()
    const root = fake.add()
    const member = fake.fork(root.pid)
    const child = fake.fork(member.pid, { pid: 7100, pgid: 7100, sid: 7100 })
    const identity = fake.identity(root.pid)
    fake.exit(root.pid)
    const report = await end(fake, identity, tree)
    expect(summary(report)).toEqual({ [root.pid]: 'already-gone', [member.pid]: 'exited', [child.pid]: 'exited' })
  })

  test('children of the successor to a member’s pid are strangers', async () => {
    const fake = new FakeBinding({ groupSignals: false })
    const root = fake.add()
    const child = fake.fork(root.pid)
    let helper: FakeProcess | undefined
    child.onSignal = (signal) => {
      if (signal !== SIGTERM) return
      const stranger = fake.reuse(child.pid)
      helper = fake.fork(stranger.pid)
    }
    const report = await end(fake, fake.identity(root.pid), tree)
    expect(summary(report)).toEqual({ [root.pid]: 'exited', [child.pid]: 'exited' })
    expect(fake.alive()).toEqual(expect.arrayContaining([child.pid, helper?.pid]))
  })

  test('a process older than its parent is not its child', async () => {
    const fake = new FakeBinding()
    const old = fake.add()
    const root = fake.add()
    old.ppid = root.pid
    const report = await end(fake, fake.identity(root.pid), tree)
    expect(summary(report)).toEqual({ [root.pid]: 'exited' })
    expect(fake.alive()).toContain(old.pid)
  })

  test('somebody in it who may not be ended is refused, and what is below it ends', async () => {
    const fake = new FakeBinding()
    const root = fake.add()
    const foreign = fake.fork(root.pid, { uid: 1001 })
    const below = fake.fork(foreign.pid, { uid: 1000 })
    const nested = fake.fork(root.pid, { nested: true })
    const report = await end(fake, fake.identity(root.pid), tree)
    expect(summary(report)).toEqual({
      [root.pid]: 'exited',
      [foreign.pid]: 'refused: other-user',
      [below.pid]: 'exited',
      [nested.pid]: 'refused: other-namespace',
    })
  })

  test('our own session pulls nothing in, even if a target leads it', async () => {
    const fake = new FakeBinding()
    // The caller was started by a host that is no ancestor any more, in the session of that host.
    const host = fake.add({ pid: 450, pgid: 450, sid: 450 })
    Object.assign(fake.get(500), { sid: 450, pgid: 450, ppid: 1 })
    const sibling = fake.add({ pid: 460, pgid: 460, sid: 450 })
    const report = await end(fake, fake.identity(host.pid), tree)
    expect(summary(report)).toEqual({ [host.pid]: 'exited' })
    expect(fake.alive()).toContain(sibling.pid)
  })

  test.each([500, 400, 1])(
    'a root that is the caller or an ancestor (%i) is refused, and nobody below it is touched',
    async (pid) => {
      const fake = new FakeBinding()
      const child = fake.fork(500)
      const report = await end(fake, fake.identity(pid), tree)
      expect(report.outcomes).toHaveLength(1)
      expect(fake.alive()).toContain(child.pid)
      expect(fake.delivered).toEqual([])
    },
  )

  test('what is forked while it is asked ends as well, in its own session too', async () => {
    const fake = new FakeBinding()
    const root = fake.add({ ...deaf })
    root.onSignal = (signal) => {
      if (signal === SIGTERM) fake.fork(root.pid, { ...deaf, pid: 8000, pgid: 8000, sid: 8000 })
    }
    const report = await end(fake, fake.identity(root.pid), tree)
    expect(summary(report)).toEqual({ [root.pid]: 'killed', 8000: 'killed' })
    expect(signalsTo(fake, 8000)[0]).toBe(SIGTERM)
  })

  test('what is forked unseen during the grace is found before its parent is gone', async () => {
    const fake = new FakeBinding()
    const root = fake.add({ ...deaf })
    // Nobody known exits, so only looking again finds it: a daemon whose middle process lives shortly.
    const onProgress = ({ phase }: Progress) => {
      if (phase !== 'asking') return
      setTimeout(() => {
        const middle = fake.fork(root.pid, { pid: 8100, pgid: 8100, sid: 8100, ...deaf })
        fake.fork(middle.pid, { ...deaf, pid: 8101 })
      }, 50)
      setTimeout(() => fake.exit(8100), 800)
    }
    const report = await end(fake, fake.identity(root.pid), { ...tree, graceMs: 1200, onProgress })
    expect(summary(report)[8101]).toBe('killed')
  })
})

describe('a scope that keeps growing', () => {
  test('is frozen, parents first, before it is killed', async () => {
    const fake = new FakeBinding()
    const root = fake.add(deaf)
    const child = fake.fork(root.pid, { startedAtMs: Date.now() - 60_000 })
    let forks = 0
    // Forks at every look until it is stopped.
    const fork = () => {
      if (root.state !== 'S' || root.gone || forks === 40) return
      forks += 1
      fake.fork(root.pid, { pid: 9000 + forks, ...deaf })
    }
    fake.before('scan', fork, { times: 999 })
    const report = await end(fake, fake.identity(root.pid), { ...tree, graceMs: 0 })
    expect(report).toMatchObject({ ok: true, settled: true })
    expect(fake.alive().filter((pid) => pid >= 9000)).toEqual([])
    expect(forks).toBeGreaterThan(1)
    expect(forks).toBeLessThan(40)
    const stops = fake.delivered.filter(({ signal }) => signal === SIGSTOP).map(({ pid }) => pid)
    expect(stops.slice(0, 2)).toEqual([root.pid, child.pid])
    expect(signalsTo(fake, root.pid)).toEqual([SIGSTOP, SIGKILL])
  })

  test('is frozen before it is asked, and woken children first', async () => {
    const fake = new FakeBinding()
    const root = fake.add({})
    const child = fake.fork(root.pid)
    const report = await end(fake, fake.identity(root.pid), tree)
    expect(report.ok).toBe(true)
    expect(fake.delivered.map(({ pid, signal }) => [pid, signal])).toEqual([
      [root.pid, SIGSTOP],
      [child.pid, SIGSTOP],
      [root.pid, SIGTERM],
      [child.pid, SIGTERM],
      [child.pid, SIGCONT],
      [root.pid, SIGCONT],
    ])
  })

  test('one at rest is not frozen', async () => {
    const fake = new FakeBinding()
    const root = fake.add(deaf)
    fake.fork(root.pid, { startedAtMs: Date.now() - 60_000 })
    await end(fake, fake.identity(root.pid), tree)
    await end(fake, fake.identity(fake.add(deaf).pid), group)
    expect(fake.delivered.some(({ signal }) => signal === SIGSTOP)).toBe(false)
  })

  test('one that never stops growing ends with a report that says so', async () => {
    const fake = new FakeBinding()
    const leader = fake.add({ ...deaf, unkillable: true })
    let forks = 0
    const fork = () => {
      if (forks === 400) return
      forks += 1
      fake.fork(leader.pid, { pid: 10_000 + forks, ...deaf })
    }
    fake.before('scan', fork, { times: 9999 })
    const report = await end(fake, fake.identity(leader.pid), { ...group, graceMs: 0, killWaitMs: 300 })
    expect(report).toMatchObject({ ok: false, settled: false })
    expect(summary(report)[leader.pid]).toBe('alive: deadline')
  })
})

describe('a chain that forks and exits faster than it can be pinned', () => {
  /** Every look and every pin comes too late: the link that was listed has exited, and left another one. */
  function chain(fake: FakeBinding, leader: FakeProcess, init: FakeProcessInit = {}) {
    let link: FakeProcess | undefined = fake.fork(leader.pid, init)
    const hop = () => {
      if (link === undefined || link.gone) return
      const next = fake.fork(link.pid, { ...init })
      fake.exit(link.pid)
      link = next
    }
    for (const method of ['openPins', 'openPinsSync'] as const) fake.before(method, hop, { times: 99_999 })
    return () => (link?.gone === false ? link : undefined)
  }

  test('ends by the signal to its group, through the pin of the leader', async () => {
    const fake = new FakeBinding()
    const leader = fake.add()
    const living = chain(fake, leader)
    const report = await end(fake, fake.identity(leader.pid), { ...group, graceMs: 0 })
    expect(living()).toBeUndefined()
    expect(fake.delivered.some(({ signal, scope }) => signal === SIGKILL && scope === 1)).toBe(true)
    expect(report).toMatchObject({ ok: true, settled: true })
  })

  test('not while somebody is in the group who may not be ended', async () => {
    const fake = new FakeBinding({ uid: 0 })
    const leader = fake.add()
    const foreign = fake.fork(leader.pid, { uid: 1001 })
    const living = chain(fake, leader)
    const report = await end(fake, fake.identity(leader.pid), { ...group, graceMs: 0, killWaitMs: 100 })
    expect(living()).toBeDefined()
    expect(fake.alive()).toContain(foreign.pid)
    expect(fake.delivered.every(({ scope }) => scope === 0)).toBe(true)
    expect(report).toMatchObject({ ok: false, settled: false })
  })

  test('where groups cannot be signalled it is reported, not passed over', async () => {
    const fake = new FakeBinding({ groupSignals: false })
    const leader = fake.add(deaf)
    chain(fake, leader)
    const report = await end(fake, fake.identity(leader.pid), { ...group, graceMs: 0, killWaitMs: 100 })
    expect(report.ok).toBe(false)
    expect(summary(report)[leader.pid]).toBe('killed')
    expect(Object.values(summary(report))).toContain('refused: unproven-group')
  })

  test('is not overlooked when no look ever shows it: the pin of its leader knows that the group is inhabited', async () => {
    const fake = new FakeBinding()
    const leader = fake.add()
    const link = fake.fork(leader.pid, { name: 'link' })
    const scan = fake.scan.bind(fake)
    fake.scan = async (fields, filter) => {
      link.pgid = 1
      const found = await scan(fields, filter)
      link.pgid = leader.pid
      return found
    }
    const report = await end(fake, fake.identity(leader.pid), group)
    expect(link.gone).toBe(true)
    expect(signalsTo(fake, link.pid)).toEqual([SIGKILL])
    expect(report).toMatchObject({ ok: true, settled: true })
  })
})
