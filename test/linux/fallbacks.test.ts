import type { ContractInput } from '../fixtures/scenarios/contract'
import { describeWhere, linux } from '../helpers/guards'
import { runScenario } from '../helpers/scenario'

const since614 = ['pidfd_exit']
const since613 = [...since614, 'pidfd_handle']
const since69 = [...since613, 'pidfd_info']
const since53 = [...since69, 'pidfs', 'pidfd_group']
const since51 = [...since53, 'pidfd_open']

/** Each call taken away by itself, and what kernels of several ages lack together. */
const kernels: readonly (readonly [string, readonly string[]])[] = [
  ['pidfd_open', ['pidfd_open']],
  ['pidfd_send_signal', ['pidfd_send_signal']],
  ['pidfs inodes', ['pidfs']],
  ['group signals through pidfds', ['pidfd_group']],
  ['PIDFD_GET_INFO', ['pidfd_info']],
  ['exit status of pidfds', ['pidfd_exit']],
  ['pidfs handles', ['pidfd_handle']],
  ['sock_diag', ['sock_diag']],
  ['children files', ['task_children']],
  ['what Linux 6.15 brought', since614],
  ['what Linux 6.13 and 6.14 brought', since69],
  ['what came after Linux 5.3', since53],
  ['what came after Linux 5.1', since51],
  ['what came after Linux 4.18', [...since51, 'pidfd_send_signal']],
  [
    'pidfds, netlink and children files, as in a sandbox',
    [...since51, 'pidfd_send_signal', 'sock_diag', 'task_children'],
  ],
]

describeWhere([linux], 'the contracts hold without a kernel feature', () => {
  test.each(kernels)(
    'without %s',
    async (_, without) => {
      const input: ContractInput = { without }
      expect(await runScenario<string[]>('contract', { without, input, timeoutMs: 110_000 })).toEqual([])
    },
    120_000,
  )
})
