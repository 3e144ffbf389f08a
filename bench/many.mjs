// Contender: many backlogs with the official JavaScript SDK's batches, its limiter told what the portal's is.
// Usage: NODE_EXTRA_CA_CERTS=ca.pem node many.mjs WEBHOOK COUNT BURST RATE. Prints the seconds.
import { B24Hook, ParamsFactory } from '@bitrix24/b24jssdk'

const [webhook, count, burst, rate] = process.argv.slice(2)
const $b24 = B24Hook.fromWebhookUrl(webhook)
await $b24.setRestrictionManagerParams({
  ...ParamsFactory.getDefault(),
  rateLimit: { burstLimit: Number(burst), drainRate: Number(rate), adaptiveEnabled: true },
})

const calls = []
for (let id = 1; id <= Number(count); id++) {
  calls.push({ method: 'tasks.api.scrum.backlog.add', params: { fields: { groupId: id, createdBy: 6 } } })
}
const started = performance.now()
await $b24.actions.v2.batchByChunk.make({ calls, options: { isHaltOnError: false } })
console.log('SECONDS ' + (performance.now() - started) / 1000)
$b24.destroy()
