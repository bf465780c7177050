import { canHere } from '../helpers/cases'
import { describeWhere, linux } from '../helpers/guards'
import { identityCases } from '../helpers/identity-cases'

describeWhere([linux], 'identities, signals and exits of live processes', () => {
  test.each(identityCases)('$title', async ({ run }) => {
    await run(canHere())
  })
})
