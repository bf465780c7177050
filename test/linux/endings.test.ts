import { canHere } from '../helpers/cases'
import { blockingEndingCases, endingCases } from '../helpers/ending-cases'
import { describeWhere, linux } from '../helpers/guards'

describeWhere([linux], 'ending live processes', () => {
  test.each([...endingCases, ...blockingEndingCases])('$title', async ({ run }) => {
    await run(canHere())
  })
})
