import { type TakeoverRefusal, TakeoverRefusedError, TimedOutError } from '../lib/errors'
import type { waitForPortFree } from '../lib/port-free'
import type { SignatureParts } from '../lib/signature'
import { type TakeoverOptions, type TakeoverReport, takeOverPorts } from '../lib/takeover'
import { expectClean, summary } from './helpers/ending'
import { FakeBinding, type FakeProcess, type FakeProcessInit, type FakeSocketInit } from './helpers/fake-binding'

const marker = { APP: 'mine' }
const ours: SignatureParts = { env: marker }
const quick = { graceMs: 150, killWaitMs: 300, portWaitMs: 50 }

/** Sockets of the fake decide what can be bound: any row with the port is in the way, unless it is `tolerated`. */
class World {
  readonly fake: FakeBinding
  readonly bound: number[] = []
  readonly occupied = new Set<number>()

  constructor(options = {}) {
    this.fake = new FakeBinding(options)
  }

  /** Somebody who listens on that port. */
  listener(port: number, init: FakeProcessInit = { env: marker }, socket: FakeSocketInit = {}): FakeProcess {
    const process = this.fake.add(init)
    this.fake.addSocket({ localPort: port, holders: [process.pid], ...socket })
    return process
  }

  async take(ports: TakeoverOptions['ports'], options: Partial<TakeoverOptions> = {}): Promise<TakeoverReport> {
    const report = await takeOverPorts({ ports, ours, ...quick, ...options }, this.fake, this.waitFree)
    expectClean(this.fake)
    return report
  }

  async refusalOf(
    ports: TakeoverOptions['ports'],
    options: Partial<TakeoverOptions> = {},
  ): Promise<TakeoverRefusedError> {
    const error = await this.take(ports, options).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (!(error instanceof TakeoverRefusedError)) throw error ?? new Error('it was not refused')
    expect(error).toMatchObject({ code: 'ERR_TAKEOVER_REFUSED', report: { outcome: 'refused', reason: error.reason } })
    expect(this.fake.delivered).toEqual([])
    expectClean(this.fake)
    const rehearsed = await this.take(ports, { ...options, dryRun: true })
    expect(rehearsed).toMatchObject({ outcome: 'refused', reason: error.reason, dryRun: true })
    return error
  }

  readonly waitFree: typeof waitForPortFree = async (target, { timeoutMs = 0, signal } = {}) => {
    const port = typeof target === 'number' ? target : target.port
    const deadline = performance.now() + timeoutMs
    for (;;) {
      signal?.throwIfAborted()
      if (await this.#isFree(port)) break
      if (performance.now() >= deadline) throw new TimedOutError(`port ${port}: still occupied`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    this.bound.push(port)
  }

  async #isFree(port: number): Promise<boolean> {
    const rows = await this.fake.listSockets(15, 0, port)
    return rows.ok && rows.value.count === 0 && !this.occupied.has(port)
  }
}

describe('takeOverPorts()', () => {
  test('free ports need nobody to be ended', async () => {
    const world = new World()
    const report = await world.take([3000, { port: 3001, host: '127.0.0.1', protocol: 'udp' }])
    expect(report).toMatchObject({ outcome: 'free', dryRun: false, ports: [{ free: true }, { free: true }] })
    expect(report.ports.map(({ address }) => address)).toEqual([
      { port: 3000 },
      { port: 3001, host: '127.0.0.1', protocol: 'udp' },
    ])
    expect(world.bound).toEqual([3000, 3001])
    expect(world.fake.calls).toMatchObject({ openPins: 0, signalPins: 0, findSocketHolders: 0 })
  })

  test('our own stale instance and all that descends from it end, and the port can be bound', async () => {
    const world = new World()
    const backend = world.listener(3000)
    const helper = world.fake.fork(backend.pid, { env: {}, pgid: 7000, sid: 7000, pid: 7000 })
    const lookalike = world.listener(4000, { env: { APP: 'yours' } })
    const report = await world.take(3000)
    expect(report).toMatchObject({ outcome: 'taken-over', ports: [{ free: true }] })
    expect(report.ports[0]?.before.listeners).toHaveLength(1)
    expect(report.ports[0]?.verdicts).toMatchObject([{ identity: { pid: backend.pid }, name: 'app', verdict: 'ours' }])
    expect(report.termination && summary(report.termination)).toEqual({
      [backend.pid]: 'exited',
      [helper.pid]: 'exited',
    })
    expect(world.bound).toEqual([3000])
    expect(world.fake.alive()).toContain(lookalike.pid)
  })

  test('many ports and many holders end in one batch', async () => {
    const world = new World()
    const one = world.listener(3000)
    const two = world.listener(3001)
    world.fake.addSocket({ localPort: 3001, holders: [two.pid, one.pid], localAddress: '127.0.0.1' })
    const report = await world.take([3000, 3001, 3002])
    expect(report.outcome).toBe('taken-over')
    expect(report.termination && summary(report.termination)).toEqual({ [one.pid]: 'exited', [two.pid]: 'exited' })
    expect(report.ports.map(({ verdicts }) => verdicts.length)).toEqual([1, 2, 0])
  })

  test('another address of the port is nobody’s business', async () => {
    const world = new World()
    const other = world.listener(3000, { env: {} }, { localAddress: '192.168.1.5' })
    const report = await takeOverPorts({ ports: { port: 3000, host: '127.0.0.1' }, ours }, world.fake, async () => {})
    expect(report.outcome).toBe('free')
    expect(world.fake.alive()).toContain(other.pid)
  })

  test('a listener that the kernel would tolerate beside us is in the way all the same', async () => {
    const world = new World()
    const backend = world.listener(3000)
    await takeOverPorts({ ports: 3000, ours, ...quick }, world.fake, async () => {})
    expect(world.fake.alive()).not.toContain(backend.pid)
  })

  test('a connection that does not keep the port from being bound is not', async () => {
    const world = new World()
    const client = world.listener(3000, {}, { state: 1, localAddress: '10.0.0.1', remotePort: 443 })
    const report = await takeOverPorts({ ports: 3000, ours, ...quick }, world.fake, async () => {})
    expect(report.outcome).toBe('free')
    expect(world.fake.alive()).toContain(client.pid)
  })
})

describe('refusals, with nobody signalled', () => {
  const expectReason = async (reason: TakeoverRefusal, refusal: Promise<TakeoverRefusedError>, message: RegExp) => {
    expect(await refusal).toMatchObject({ reason, message: expect.stringMatching(message) })
  }

  test('foreign-owner: one foreign holder among many ports', async () => {
    const world = new World()
    const own = world.listener(3000)
    const foreign = world.listener(3001, { name: 'theirs', env: { APP: 'yours' } })
    const refusal = world.refusalOf([3000, 3001, 3002])
    await expectReason('foreign-owner', refusal, new RegExp(`port 3001 is held by pid ${foreign.pid} \\(theirs\\)`))
    const { report } = await refusal
    expect(report.ports.map(({ verdicts }) => verdicts.map(({ verdict }) => verdict))).toEqual([
      ['ours'],
      ['foreign'],
      [],
    ])
    expect(world.fake.alive()).toEqual(expect.arrayContaining([own.pid, foreign.pid]))
  })

  test('foreign-owner: a foreign process that holds our socket as well', async () => {
    const world = new World()
    const [own, foreign] = [world.fake.add({ env: marker }), world.fake.add()]
    world.fake.addSocket({ localPort: 3000, holders: [own.pid, foreign.pid] })
    await expectReason('foreign-owner', world.refusalOf(3000), /not ours/)
  })

  test('foreign-owner: a connection of somebody else that keeps the port', async () => {
    const world = new World()
    world.listener(3000, {}, { state: 1 })
    await expectReason('foreign-owner', world.refusalOf(3000), /not ours/)
  })

  test('unknown-owner: it cannot be judged', async () => {
    const world = new World()
    world.listener(3000, { env: marker, missing: { env: 'denied' } })
    await expectReason('unknown-owner', world.refusalOf(3000), /cannot be told/)
  })

  test.each<[string, (world: World) => void]>([
    ['its descriptors cannot be looked at', (world) => world.listener(3000, { env: marker, socketsHidden: true })],
    ['it belongs to another user', (world) => world.listener(3000, { uid: 0, socketsHidden: true })],
    ['nobody has it open', (world) => world.fake.addSocket({ localPort: 3000 })],
    [
      'one of two sockets has no owner',
      (world) => {
        world.listener(3000)
        world.fake.addSocket({ localPort: 3000, localAddress: '127.0.0.1' })
      },
    ],
    ['not even a socket is to be seen', (world) => world.occupied.add(3000)],
  ])('invisible-owner: %s', async (_what, hold) => {
    const world = new World({ boundVisible: false })
    hold(world)
    await expectReason('invisible-owner', world.refusalOf(3000), /cannot be seen/)
  })

  test.each<[string, FakeProcessInit]>([
    ['another user', { uid: 1001, env: marker }],
    ['a namespace below', { nested: true, env: marker }],
  ])('excluded-owner: it matches, but is of %s', async (_what, init) => {
    const world = new World({ uid: 0 })
    world.listener(3000, init)
    const { reason, report } = await world.refusalOf(3000)
    expect(reason).toBe('excluded-owner')
    expect(report.ports[0]?.verdicts[0]).toMatchObject({ verdict: 'ours', excluded: expect.stringMatching(/^other-/) })
  })

  test.each([
    [500, 'self'],
    [400, 'ancestor'],
  ])('excluded-owner: pid %i matches, but is %s', async (pid, excluded) => {
    const world = new World()
    Object.assign(world.fake.get(pid), { env: ['APP=mine'] })
    world.fake.addSocket({ localPort: 3000, holders: [pid] })
    await expectReason('excluded-owner', world.refusalOf(3000), new RegExp(excluded))
  })

  test('excluded-owner: a descendant of a holder may not be ended', async () => {
    const world = new World()
    const backend = world.listener(3000)
    world.fake.fork(backend.pid, { uid: 1001 })
    await expectReason('excluded-owner', world.refusalOf(3000), /tree may not be ended/)
  })

  test('foreign-owner: a holder that becomes another program before it is pinned', async () => {
    const world = new World()
    const backend = world.listener(3000)
    world.fake.before('openPins', () => Object.assign(backend, { env: [] }))
    await expectReason('foreign-owner', world.refusalOf(3000), /may not be ended/)
  })

  test('foreign-owner: even when it belongs to the tree of a holder of ours', async () => {
    const world = new World()
    const backend = world.listener(3000)
    const worker = world.fake.fork(backend.pid)
    world.fake.addSocket({ localPort: 3001, holders: [worker.pid] })
    world.fake.before('openPins', () => Object.assign(worker, { env: [] }))
    await expectReason('foreign-owner', world.refusalOf([3000, 3001]), /may not be ended/)
  })

  test.each<[string, TakeoverOptions['ports']]>([
    ['one port twice', [3000, 3000]],
    ['all addresses and one of them', [3000, { port: 3000, host: '127.0.0.1' }]],
    [
      'both wildcards',
      [
        { port: 3000, host: '0.0.0.0' },
        { port: 3000, host: '::' },
      ],
    ],
  ])('conflicting-addresses: %s, before anything is read', async (_what, ports) => {
    const world = new World()
    await expectReason('conflicting-addresses', world.refusalOf(ports), /can never both be bound/)
    expect(world.fake.touched()).toBe(0)
    expect(world.bound).toEqual([])
  })

  test.each<[string, TakeoverOptions['ports']]>([
    ['different ports', [3000, 3001]],
    ['TCP and UDP', [3000, { port: 3000, protocol: 'udp' }]],
    [
      'two addresses',
      [
        { port: 3000, host: '127.0.0.1' },
        { port: 3000, host: '127.0.0.2' },
      ],
    ],
    [
      'IPv4 and v6-only',
      [
        { port: 3000, host: '0.0.0.0' },
        { port: 3000, host: '::', v6Only: true },
      ],
    ],
  ])('%s do not conflict', async (_what, ports) => {
    expect(await new World().take(ports)).toMatchObject({ outcome: 'free' })
  })

  test('an error of bind() other than "in use" rejects before anybody is signalled', async () => {
    const world = new World()
    world.listener(80)
    const denied = Object.assign(new Error('EACCES'), { code: 'EACCES' })
    const waitFree = () => Promise.reject(denied)
    await expect(takeOverPorts({ ports: 80, ours }, world.fake, waitFree)).rejects.toBe(denied)
    expect(world.fake.delivered).toEqual([])
  })
})

describe('after the holders have ended', () => {
  test('remains of connections are waited for, and nobody is ended for them', async () => {
    const world = new World()
    const remains = world.fake.addSocket({ localPort: 3000, state: 6, inode: 0n })
    setTimeout(() => world.fake.closeSocket(remains), 20)
    const report = await world.take(3000, { portWaitMs: 2000 })
    expect(report).toMatchObject({ outcome: 'free', ports: [{ free: true }] })
    expect(world.fake.calls.openPins).toBe(0)
  })

  test('remains that stay leave the port occupied', async () => {
    const world = new World()
    const backend = world.listener(3000)
    world.fake.addSocket({ localPort: 3000, state: 6, inode: 0n })
    const report = await world.take(3000)
    expect(report).toMatchObject({ outcome: 'occupied', reason: 'lingering', ports: [{ free: false }] })
    expect(world.fake.alive()).not.toContain(backend.pid)
    expect(report.ports[0]?.after?.others).toMatchObject([{ role: 'lingering' }])
  })

  test('one deadline is shared by all ports', async () => {
    const world = new World()
    const ports = Array.from({ length: 10 }, (_, index) => 3000 + index)
    for (const localPort of ports) world.fake.addSocket({ localPort, state: 6, inode: 0n })
    const begin = performance.now()
    expect((await world.take(ports, { portWaitMs: 60 })).outcome).toBe('occupied')
    expect(performance.now() - begin).toBeLessThan(500)
  })

  test('a holder that somebody starts again is reported at once, and not fought', async () => {
    const world = new World()
    const backend = world.listener(3000)
    let again: FakeProcess | undefined
    backend.onSignal = () => {
      again ??= world.listener(3000)
    }
    const begin = performance.now()
    // A process of its own: a supervisor's child, not ours to descend from.
    const report = await world.take(3000, { scope: 'process', portWaitMs: 20_000 })
    expect(performance.now() - begin).toBeLessThan(5000)
    expect(report).toMatchObject({ outcome: 'occupied', reason: 'respawned', ports: [{ free: false }] })
    expect(report.ports[0]?.after?.listeners[0]?.owners).toEqual([world.fake.identity(again?.pid ?? 0)])
    expect(world.fake.alive()).toContain(again?.pid)
  })

  test('a holder that does not die leaves its port, and says so', async () => {
    const world = new World()
    const [stuck, other] = [world.listener(3000, { env: marker, unkillable: true }), world.listener(3001)]
    const report = await world.take([3000, 3001])
    expect(report).toMatchObject({ outcome: 'alive', ports: [{ free: false }, { free: true }] })
    expect(report.termination && summary(report.termination)).toEqual({
      [stuck.pid]: 'alive: deadline',
      [other.pid]: 'exited',
    })
  })

  test('a holder that was gone before it was judged needs nobody to be ended', async () => {
    const world = new World()
    const backend = world.listener(3000)
    world.fake.before('scan', () => backend.gone || world.fake.exit(backend.pid))
    expect(await world.take(3000)).toMatchObject({ outcome: 'free', ports: [{ free: true, verdicts: [] }] })
  })
})

describe('a dry run', () => {
  test('says what would be done, and does nothing', async () => {
    const world = new World()
    const backend = world.listener(3000)
    const report = await world.take(3000, { dryRun: true })
    expect(report).toMatchObject({
      outcome: 'alive',
      dryRun: true,
      ports: [{ free: false, verdicts: [{ verdict: 'ours' }] }],
    })
    expect(report.termination && summary(report.termination)).toEqual({ [backend.pid]: 'alive: dry-run' })
    expect(world.fake.delivered).toEqual([])
  })

  test('does not wait for remains', async () => {
    const world = new World()
    world.fake.addSocket({ localPort: 3000, state: 6, inode: 0n })
    const report = await world.take(3000, { dryRun: true, portWaitMs: 60_000 })
    expect(report).toMatchObject({ outcome: 'occupied', reason: 'lingering' })
  })
})

describe('abort', () => {
  test('before: its reason, and nothing is read', async () => {
    const world = new World()
    const reason = new Error('not now')
    await expect(world.take(3000, { abort: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(world.fake.touched()).toBe(0)
  })

  test('while it waits for the port', async () => {
    const world = new World()
    world.fake.addSocket({ localPort: 3000, state: 6, inode: 0n })
    const controller = new AbortController()
    setTimeout(() => controller.abort(new Error('enough')), 10)
    await expect(world.take(3000, { abort: controller.signal, portWaitMs: 60_000 })).rejects.toThrow('enough')
  })
})

describe('arguments', () => {
  test.each<[string, unknown]>([
    ['no ports', []],
    ['nothing', undefined],
    ['text', ['3000']],
  ])('%s is a TypeError before anything is read', async (_what, ports) => {
    const world = new World()
    await expect(world.take(ports as never)).rejects.toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG' })
    expect(world.fake.touched()).toBe(0)
  })

  test('a negative wait is a RangeError', async () => {
    await expect(new World().take(3000, { portWaitMs: -1 })).rejects.toMatchObject({ name: 'RangeError' })
  })
})
