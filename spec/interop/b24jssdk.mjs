// The official JavaScript SDK against the emulated portal: webhook call, error, batch, lists, as its documentation says.
// Usage: NODE_EXTRA_CA_CERTS=ca.pem node b24jssdk.mjs WEBHOOK. Prints one JSON object of what it got, for interop_spec.lua.
import { B24Hook } from '@bitrix24/b24jssdk'

const $b24 = B24Hook.fromWebhookUrl(process.argv[2])
const seen = {}

const added = await $b24.actions.v2.call.make({
  method: 'tasks.api.scrum.backlog.add', params: { fields: { groupId: 125, createdBy: 6 } },
})
seen.backlog = added.getData().result

async function failure(method, params) {
  try {
    const answer = await $b24.actions.v2.call.make({ method, params })
    return { succeeded: answer.isSuccess, text: answer.getErrorMessages().join() }
  } catch (error) {
    return { status: error.status, code: error.code, text: error.message }
  }
}
seen.unknownMethod = await failure('no.such.method', {})
// Of an error with the integer code 0, which all scrum methods send, the SDK loses the text; the status is there.
seen.again = await failure('tasks.api.scrum.backlog.add', { fields: { groupId: 125, createdBy: 6 } })

const calls = {}
for (let i = 0; i < 3; i++) {
  calls['epic' + i] = { method: 'tasks.api.scrum.epic.add', params: { fields: { name: `A&B=C+D 100% Ёж ${i}`, groupId: 125 } } }
}
calls.first = { method: 'tasks.api.scrum.epic.get', params: { id: '$result[epic0][id]' } }
calls.refused = { method: 'tasks.api.scrum.epic.get', params: { id: 'x' } }
const batch = await $b24.actions.v2.batch.make({ calls, options: { isHaltOnError: false, returnAjaxResult: true } })
seen.batch = Object.fromEntries(Object.entries(batch.getData()).map(([key, answer]) =>
  [key, answer.isSuccess ? answer.getData().result : { failed: answer.getErrorMessages() }]))
seen.batchErrors = batch.getErrorMessages()

const more = []
for (let i = 3; i < 120; i++) {
  more.push({ method: 'tasks.api.scrum.epic.add', params: { fields: { name: `Epic ${i}`, groupId: 125 } } })
}
await $b24.actions.v2.batchByChunk.make({ calls: more, options: { isHaltOnError: true } })
const list = await $b24.actions.v2.callList.make({ method: 'tasks.api.scrum.epic.list', params: { filter: { GROUP_ID: 125 } }, idKey: 'id', cursorIdKey: 'ID' })
seen.listed = list.getData().length
seen.fetched = 0
for await (const page of $b24.actions.v2.fetchList.make({ method: 'tasks.api.scrum.epic.list', params: {}, idKey: 'id' })) {
  seen.fetched += page.length
}

console.log('SEEN ' + JSON.stringify(seen))
$b24.destroy()
