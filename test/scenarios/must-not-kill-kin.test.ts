import type { InitReport } from '../fixtures/scenarios/kill-init'
import type { KinReport } from '../fixtures/scenarios/kill-kin'
import type { NestedReport } from '../fixtures/scenarios/kill-nested'
import { pxPath } from '../helpers/build-fixtures'
import { spawnFixture } from '../helpers/fixture'
import { describeWhere, pidNamespaces, root, testWhere, tool } from '../helpers/guards'
import { pidsByHand, statByHand } from '../helpers/proc-by-hand'
import { inPidNamespace, runScenario } from '../helpers/scenario'
import { harmTo, witness } from '../helpers/witness'

// Holds a port that none of its descendants inherits; descriptor 3 is that of the scenario's answer.
const listeningAncestor = `
import os, socket, subprocess, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
os.environ["PORT_OF_ANCESTOR"] = str(listener.getsockname()[1])
sys.exit(subprocess.call(sys.argv[1:], pass_fds=[3]))
`
// Leaves a stranger in its group, leads another one from then on, and starts the rest.
const groups = '"$0" forever beside >/dev/null & exec "$0" +pgrp init "$@"'

const scopes = ['process', 'group', 'tree'] as const
const calls = (...names: readonly string[]) => names.flatMap((name) => scopes.map((scope) => `${name} ${scope}`))
const everyCall = calls('terminate', 'terminateSync', 'sweep')
const all = (keys: readonly string[], fate: string) => Object.fromEntries(keys.map((key) => [key, fate]))

describeWhere([pidNamespaces, tool('python3')], 'in every call and scope, nobody ends', () => {
  let report: KinReport

  beforeAll(async () => {
    report = await inPidNamespace<KinReport>('kill-kin', {
      // The first one would obey, which init does not have to.
      unshare: [pxPath(), '+setsid', '+obeys', 'init'],
      under: [pxPath(), '+pgrp', 'init', 'sh', '-c', groups, pxPath(), 'python3', '-c', listeningAncestor],
    })
  })

  test('itself', () => {
    expect(report.self).toEqual(all(everyCall, 'refused self'))
  })

  test('its parent, grandparent and all above', () => {
    expect(report.ancestors).toHaveLength(5)
    expect(report.ancestors).toEqual(report.ancestors.map(() => all(everyCall, 'refused ancestor')))
  })

  test('what belongs to an ancestor', () => {
    expect(report.mostConsidered).toBe(1)
  })

  const groupCalls = ['terminate group', 'terminateSync group', 'sweep group']

  test('its own group', () => {
    expect(report.ownGroup).toEqual(all(groupCalls, 'refused own-group'))
  })

  test('the group of an ancestor', () => {
    expect(report.groupOfAncestor).toEqual(all(groupCalls, 'refused ancestor'))
  })

  test('the holder of a port when that is itself or an ancestor', () => {
    expect(report.ancestorWithPort).toBeGreaterThan(1)
    expect(report.ownPort).toEqual(all(calls('takeOverPorts'), 'refused excluded-owner'))
    expect(report.portOfAncestor).toEqual(all(calls('takeOverPorts'), 'refused excluded-owner'))
  })

  test('any of them: all still run', () => {
    expect(report.harm).toEqual([])
  })
})

describeWhere([pidNamespaces], 'across pid namespaces, nobody ends', () => {
  test('a process of a namespace below, whoever starts its tree', async () => {
    const report = await inPidNamespace<NestedReport>('kill-nested')
    const refused = all(calls('terminate', 'terminateSync', 'sweep'), 'refused other-namespace')
    expect(report.fates).toEqual({ ...refused, ...all(calls('takeOverPorts'), 'refused excluded-owner') })
    expect(report.heldBack).toEqual(['all-or-nothing', 'other-namespace'])
    expect(report.harm).toEqual([])
    expect(report.ended).toEqual(['killed', 'other-namespace'])
    expect(report.livesAtLast).toBe(true)
  })

  testWhere([root, tool('nsenter')], 'the init of a namespace that it has entered from outside', async () => {
    const under = ['unshare', '-p', '-f', '--kill-child', '--mount-proc']
    const fixture = await spawnFixture('+obeys forever', { under })
    const init = pidsByHand().find((pid) => statByHand(pid)?.ppid === fixture.child.pid) ?? 0
    const before = witness(init)
    const entered = ['nsenter', '-t', String(init), '-p', '-m', '--']
    const report = await runScenario<InitReport>('kill-init', { under: entered })
    expect(report).toEqual({ fates: all(everyCall, 'refused init'), ppid: 0 })
    expect(harmTo(before)).toEqual([])
  })
})
