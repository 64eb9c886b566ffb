// Drives OpenAI's own client against the HTTP doors, with nothing but address and secret, and prints what it saw as one line
// of JSON.

import OpenAI from "openai";

const { CLIENT_URL: url, CLIENT_TOKEN: apiKey } = process.env;
const baseURL = `${url.replace(/^ws/, "http").replace(/\/$/, "")}/v1`;
const client = new OpenAI({ apiKey, baseURL, maxRetries: 0 });
const messages = [{ role: "user", content: "one two three" }];
const report = {};

report.models = (await client.models.list()).data.map((model) => model.id);

const whole = await client.chat.completions.create({ model: "openclaw/main", messages });
report.whole = whole.choices[0].message.content;

report.chunks = [];
const chunks = await client.chat.completions.create({
  model: "openclaw/main",
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of chunks) {
  if (chunk.choices[0]?.delta.content) report.chunks.push(chunk.choices[0].delta.content);
  if (chunk.choices[0]?.finish_reason) report.finish = chunk.choices[0].finish_reason;
  if (chunk.usage) report.usage = chunk.usage;
}

report.events = [];
report.deltas = [];
const events = await client.responses.create({ model: "openclaw/main", input: "four five", stream: true });
let first;
for await (const event of events) {
  if (report.events.at(-1) !== event.type) report.events.push(event.type);
  if (event.type === "response.output_text.delta") report.deltas.push(event.delta);
  if (event.type === "response.completed") first = event.response;
}
const next = await client.responses.create({ model: "openclaw/main", input: "six", previous_response_id: first.id });
report.next = next.output_text;

report.refused = await client.chat.completions
  .create({ model: "openclaw/nobody", messages })
  .then(() => "answered", (error) => [error.status, error.code]);
const stranger = new OpenAI({ apiKey: "wrong", baseURL, maxRetries: 0 });
report.stranger = await stranger.models.list().then(() => "answered", (error) => error.status);

console.log(JSON.stringify(report));
