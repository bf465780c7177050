/**
 * One request to the operating system, to be awaited or to be done at once.
 *
 * How processes end is written once, as a generator of such requests. Outside of exit handlers they are awaited, inside
 * they are done on the spot: the rules that keep a signal from the wrong process exist in one copy.
 */
export interface Request<T> {
  later(): Promise<T>
  now(): T
}

export type Steps<T> = Generator<Request<unknown>, T, unknown>

export function* perform<T>(request: Request<T>): Steps<T> {
  return (yield request) as T
}

/** Awaits request after request. Once `abort` is aborted, its reason is thrown into the steps. */
export async function runAsync<T>(steps: Steps<T>, abort?: AbortSignal): Promise<T> {
  let next = steps.next()
  while (!next.done) {
    const answer = await settle(next.value, abort)
    next = answer.ok ? steps.next(answer.value) : steps.throw(answer.error)
  }
  return next.value
}

export function runSync<T>(steps: Steps<T>): T {
  let next = steps.next()
  while (!next.done) {
    const answer = attempt(next.value)
    next = answer.ok ? steps.next(answer.value) : steps.throw(answer.error)
  }
  return next.value
}

type Answer = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown }

async function settle(request: Request<unknown>, abort: AbortSignal | undefined): Promise<Answer> {
  if (abort?.aborted) return { ok: false, error: abort.reason }
  try {
    // An answer that comes after the abort still counts: it may hold descriptors that somebody has to close.
    return { ok: true, value: await request.later() }
  } catch (error) {
    return { ok: false, error }
  }
}

function attempt(request: Request<unknown>): Answer {
  try {
    return { ok: true, value: request.now() }
  } catch (error) {
    return { ok: false, error }
  }
}
