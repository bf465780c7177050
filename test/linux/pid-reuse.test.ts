import type { ReuseInput, ReuseReport } from '../fixtures/scenarios/pid-reuse'
import { describeWhere, linuxAtLeast, pidNamespaces, testWhere } from '../helpers/guards'
import { inPidNamespace } from '../helpers/scenario'

const rounds = 200

function reuse(input: ReuseInput, without: readonly string[] = []): Promise<ReuseReport> {
  return inPidNamespace('pid-reuse', { input, without, timeoutMs: 120_000 })
}

describeWhere([pidNamespaces], 'a pid that another process has by now', () => {
  testWhere(
    [linuxAtLeast(6, 9)],
    `is told apart within one clock tick, ${rounds} times, and the innocent lives`,
    async () => {
      const report = await reuse({ rounds, tick: 'same' })
      expect(report.problems).toEqual([])
      expect(report.rounds).toBe(rounds)
      expect(report.sameTick).toBeGreaterThan(rounds / 2)
    },
    150_000,
  )

  test.each([
    ['pidfs inodes', ['pidfs']],
    ['pidfds', ['pidfd_open']],
    ['pidfds and signals through them', ['pidfd_open', 'pidfd_send_signal']],
    ['signals through pidfds', ['pidfd_send_signal', 'pidfs']],
  ])('is told apart by its start without %s', async (_, without) => {
    const report = await reuse({ rounds: 40, tick: 'other' }, without)
    expect(report).toEqual({ problems: [], rounds: 40, sameTick: 0 })
  })
})
