// Calls a server through the original service's client library: node scripts/sdk.mjs LIBRARY URL KEY
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [library, server_url, apiKey] = process.argv.slice(2);
const loaded = createRequire(import.meta.url)(library);
const Client = loaded.default ?? loaded;
const client = new Client({ apiKey, server_url });

const step = async (name, run) => {
    await run();
    console.log(`ok: ${name}`);
};

await step("createLinkedAccount", async () => {
    const made = await client.createLinkedAccount({
        linked_account_id: "sdk_user",
        name: "One",
        udf: { plan: "free" },
        your_app: { auth_credentials: { api_key: "k1" } },
    });
    assert.deepEqual([made.account_id, made.name, made.environment], ["sdk_user", "One", "test"]);
    assert.ok(!JSON.stringify(made).includes("k1"));
});
await step("createLinkedAccount without an id fails with the documented message", async () => {
    await assert.rejects(client.createLinkedAccount({ name: "none" }), /linked_account_id required/);
});
await step("upsertLinkedAccount", async () => {
    const updated = await client.upsertLinkedAccount({ linked_account_id: "sdk_user", name: "Two" });
    assert.deepEqual([updated.account_id, updated.name, updated.new_account], ["sdk_user", "Two", false]);
    const added = await client.upsertLinkedAccount({ linked_account_id: "sdk_user_2" });
    assert.equal(added.new_account, true);
});
await step("getAllLinkedAccounts", async () => {
    const page = await client.getAllLinkedAccounts({ page: 1, limit: 2 });
    assert.deepEqual([page.docs.length, page.limit, page.page, page.hasNextPage], [2, 2, 1, page.totalDocs > 2]);
});
await step("getLinkedAccountById", async () => {
    const found = await client.getLinkedAccountById("sdk_user");
    assert.deepEqual([found.account_id, found.name, found.integrations.length], ["sdk_user", "Two", 1]);
});
await step("getTokenForLinkedAccount", async () => {
    const { token, expires_in } = await client.getTokenForLinkedAccount({ linked_account_id: "sdk_user" });
    assert.ok(token.split(".").length === 3 && expires_in > 0);
});
await step("getTokenForLinkedAccount of an unknown account fails with the documented message", async () => {
    const unknown = client.getTokenForLinkedAccount({ linked_account_id: "user_99999" });
    await assert.rejects(unknown, /No linked account found for account id : user_99999 in environment test/);
});
await step("deleteLinkedAccount", async () => {
    assert.equal((await client.deleteLinkedAccount("sdk_user")).message, "User deleted successfully");
    await assert.rejects(client.getLinkedAccountById("sdk_user"), /user_.*not found in environment|not found/);
});
await step("a wrong key fails with the documented message", async () => {
    const stranger = new Client({ apiKey: "tk_wrong", server_url });
    await assert.rejects(stranger.getAllLinkedAccounts(), /Invalid Credentials/);
});
