// Calls everything of the unmodified `twilio` library for Node that concerns Streams,
// and prints what came of it as one JSON object.
// TWILIO_PACKAGE says which version. Arguments: base URL, account SID, auth token, API key SID, API key secret.

const twilio = require(process.env.TWILIO_PACKAGE);

const [baseUrl, accountSid, authToken, keySid, keySecret] = process.argv.slice(2);

function connect(...credentials) {
  const client = twilio(...credentials);
  client.sync.baseUrl = baseUrl;
  return client.sync.v1;
}

// Old versions put names into the path as they are.
function ref(name) {
  return process.env.TWILIO_PACKAGE === "twilio-3" ? encodeURIComponent(name) : name;
}

async function refusal(call) {
  try {
    return await call;
  } catch (error) {
    return [error.constructor.name, error.status, error.code, error.message];
  }
}

async function services(sync) {
  const created = await sync.services.create({ friendlyName: "é", aclEnabled: true });
  const service = sync.services(created.sid);
  const updated = await service.update({ friendlyName: "New" });
  const listed = await sync.services.list({ pageSize: 1 });
  const page = await sync.services.page({ pageSize: 1 });
  return {
    created: [created.friendlyName, created.aclEnabled, created.webhookUrl],
    isDate: created.dateCreated instanceof Date,
    updated: [updated.friendlyName, updated.aclEnabled],
    isListed: listed.some((one) => one.sid === created.sid),
    onPage: page.instances.length,
    removed: await service.remove(),
    removedTwice: (await refusal(service.remove())).slice(0, 3),
  };
}

async function streams(service) {
  const made = [];
  for (let n = 0; n < 5; n += 1) {
    const created = await service.syncStreams.create(n ? {} : { uniqueName: "é .", ttl: 60 });
    made.push(created.sid);
  }
  const sids = (list) => list.map((stream) => stream.sid);
  const each = [];
  await new Promise((done) => {
    service.syncStreams.each({ pageSize: 2, callback: (one) => each.push(one.sid), done });
  });
  const first = await service.syncStreams.page({ pageSize: 3 });
  const second = await first.nextPage();
  const back = await second.previousPage();
  const stream = service.syncStreams(ref("é ."));
  return {
    made,
    listed: sids(await service.syncStreams.list({ pageSize: 2 })),
    limited: sids(await service.syncStreams.list({ limit: 3, pageSize: 2 })),
    unlimited: sids(await service.syncStreams.list({ limit: 5000 })),
    each,
    pages: [first, second, back].map((page) => sids(page.instances)),
    fetched: (await stream.fetch()).sid,
    endless: (await stream.update({ ttl: 0 })).dateExpires,
    duplicate: await refusal(service.syncStreams.create({ uniqueName: "é ." })),
    missing: (await refusal(service.syncStreams("nobody").fetch())).slice(0, 3),
    dotted: (await refusal(service.syncStreams.create({ uniqueName: ".." }))).slice(0, 3),
    removedAbove: await Promise.all(
      [".", "..", "%2e%2e", ".. "].map((name) =>
        refusal(service.syncStreams(ref(name)).remove()),
      ),
    ),
    removed: await service.syncStreams(made[4]).remove(),
  };
}

async function messages(stream) {
  const create = (data) => stream.streamMessages.create({ data });
  return {
    data: (await create({ é: "🙂", n: null, a: [1.5, true] })).data,
    largest: (await create({ x: "a".repeat(4088) })).sid.slice(0, 2),
    tooLarge: await refusal(create({ x: "a".repeat(4089) })),
    array: (await refusal(create([1]))).slice(0, 3),
    text: (await refusal(create("plain"))).slice(0, 3),
  };
}

async function main() {
  const sync = connect(accountSid, authToken);
  const { sid } = await sync.services.create();
  const service = sync.services(sid);
  const withKey = connect(keySid, keySecret, { accountSid });
  const outcome = {
    services: await services(sync),
    streams: await streams(service),
    messages: await messages(service.syncStreams(ref("é ."))),
    withKey: (await withKey.services("default").fetch()).uniqueName,
    wrong: await refusal(connect(accountSid, "wrong").services.list()),
  };
  await service.remove();
  console.log(JSON.stringify(outcome));
}

main();
