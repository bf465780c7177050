import { constants } from 'node:os'
import {
  checkAbortSignal,
  checkBoolean,
  checkDate,
  checkKeys,
  checkMs,
  checkOneOf,
  checkPid,
  checkPort,
  checkProcessNumber,
  checkSome,
  checkText,
  checkUid,
  throwIfAborted,
} from '../lib/options'
import { checkSignal, type SignalName, signalName, signalNumber } from '../lib/signals'

type Check = (option: string, value: unknown) => unknown

function refusal(check: Check, value: unknown): { name: string; code: unknown; message: string } {
  try {
    check('thing', value)
  } catch (error) {
    const { name, message, code } = error as NodeJS.ErrnoException
    return { name, message, code }
  }
  throw new Error(`accepted ${String(value)}`)
}

describe('validators', () => {
  test.each<[string, Check, readonly unknown[]]>([
    ['checkPid', checkPid, [1, 7, 2 ** 31 - 1]],
    ['checkProcessNumber', checkProcessNumber, [0, 1, 2 ** 31 - 1]],
    ['checkUid', checkUid, [0, 1000, 2 ** 32 - 1]],
    ['checkPort', checkPort, [1, 3000, 65_535]],
    ['checkMs', checkMs, [0, 0.5, 2000, 2 ** 31 - 1]],
    ['checkBoolean', checkBoolean, [true, false]],
    ['checkText', checkText, ['a', ' ']],
    ['checkDate', checkDate, [new Date(0)]],
    ['checkAbortSignal', checkAbortSignal, [undefined, AbortSignal.abort()]],
  ])('%s() returns what it accepts', (_name, check, values) => {
    for (const value of values) expect(check('thing', value)).toBe(value)
  })

  test.each<[string, Check, readonly unknown[]]>([
    ['checkPid', checkPid, ['7', null, undefined, 7n, {}, true]],
    ['checkPort', checkPort, ['x', '80', undefined]],
    ['checkMs', checkMs, ['100', undefined, null]],
    ['checkBoolean', checkBoolean, [0, 'true', null]],
    ['checkText', checkText, [5, null, undefined]],
    ['checkDate', checkDate, [0, '2026-01-01', null]],
    ['checkAbortSignal', checkAbortSignal, [null, {}, 'abort', true]],
  ])('%s() answers the wrong kind of value with a TypeError', (_name, check, values) => {
    for (const value of values) {
      expect(refusal(check, value)).toMatchObject({
        name: 'TypeError',
        code: 'ERR_INVALID_ARG',
        message: expect.stringContaining('thing must be'),
      })
    }
  })

  test.each<[string, Check, readonly unknown[]]>([
    ['checkPid', checkPid, [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]],
    ['checkProcessNumber', checkProcessNumber, [-1, 0.5, 2 ** 31]],
    ['checkUid', checkUid, [-1, 2 ** 32]],
    ['checkPort', checkPort, [0, -1, 65_536, Number.NaN, 80.5]],
    ['checkMs', checkMs, [-1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]],
    ['checkText', checkText, ['', 'a\0b']],
    ['checkDate', checkDate, [new Date(Number.NaN)]],
  ])('%s() answers a value out of range with a RangeError', (_name, check, values) => {
    for (const value of values) {
      expect(refusal(check, value)).toMatchObject({
        name: 'RangeError',
        code: 'ERR_INVALID_ARG',
        message: expect.stringContaining('thing must be'),
      })
    }
  })

  test('the message names what was received', () => {
    expect(refusal(checkPid, '7').message).toContain('received "7"')
    expect(refusal(checkPid, -1).message).toContain('received -1')
  })

  test('checkOneOf() lists what it accepts', () => {
    const check: Check = (option, value) => checkOneOf(option, value, ['tcp', 'udp'])
    expect(refusal(check, 'icmp').message).toBe("thing must be one of 'tcp', 'udp'; received \"icmp\"")
    expect(refusal(check, 6).name).toBe('TypeError')
    expect(check('thing', 'udp')).toBe('udp')
  })

  test('checkKeys() names the key that nobody knows', () => {
    const check: Check = (option, value) => checkKeys(option, value, ['pid', 'exe'])
    expect(refusal(check, { pid: 1, xyz: 2 })).toMatchObject({
      name: 'TypeError',
      message: expect.stringMatching(/^thing\.xyz must be left out: known are pid, exe; received 2$/),
    })
    for (const value of [null, [], 5]) expect(refusal(check, value).name).toBe('TypeError')
  })

  test('checkSome() names the element that is wrong', () => {
    expect(checkSome('pids', 5, checkPid)).toEqual([5])
    expect(checkSome('pids', [], checkPid)).toEqual([])
    expect(() => checkSome('pids', [5, 0], checkPid)).toThrow(/^pids\[1\] must be/)
  })

  test('checkSome() looks at the holes of an array as well', () => {
    const withHole: number[] = [1]
    withHole[2] = 3
    expect(() => checkSome('pids', withHole, checkPid)).toThrow(/^pids\[1\] must be/)
  })

  test('throwIfAborted() throws the reason of the signal itself', () => {
    const reason = { why: 'test' }
    let thrown: unknown
    try {
      throwIfAborted(AbortSignal.abort(reason))
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBe(reason)
    expect(() => throwIfAborted(undefined)).not.toThrow()
    expect(() => throwIfAborted(new AbortController().signal)).not.toThrow()
  })
})

describe('signals', () => {
  test('every name of this platform has its number, and comes back from it unless two share it', () => {
    for (const [name, number] of Object.entries(constants.signals)) {
      expect(signalNumber(name as SignalName)).toBe(number)
      expect(signalNumber(signalName(number) as SignalName)).toBe(number)
    }
    expect(signalName(constants.signals.SIGABRT)).toBe('SIGABRT')
  })

  test('a number without a name has none', () => {
    expect(signalName(0)).toBeNull()
    expect(signalName(63)).toBeNull()
  })

  test.each([15, '15', 'TERM', 'sigterm', 'SIGNOPE', '', null, '__proto__'])('%p is no signal', (value) => {
    expect(() => checkSignal('signal', value)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG' }))
  })
})
