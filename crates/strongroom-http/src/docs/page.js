"use strict";

// Reads the description beside this page and makes a form of every call. Text is never read as HTML.
const element = (name, text, ...children) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
};

const follow = (description, schema) =>
  schema && schema.$ref
    ? follow(description, description.components.schemas[schema.$ref.split("/").pop()])
    : schema || {};

const sample = (description, schema) => {
  const found = follow(description, schema);
  if (found.example !== undefined) return found.example;
  const type = Array.isArray(found.type) ? found.type[0] : found.type;
  if (type === "object" || found.properties) {
    const required = Object.entries(found.properties || {}).filter(([name]) => (found.required || []).includes(name));
    return Object.fromEntries(required.map(([name, property]) => [name, sample(description, property)]));
  }
  return { string: "", boolean: false, integer: 0, number: 0, array: [] }[type] ?? "";
};

const send = async (method, path, call, fields, body) => {
  const headers = {};
  const query = new URLSearchParams();
  const [key, token] = ["key", "token"].map((id) => document.getElementById(id).value);
  if (key) headers["x-api-key"] = key;
  if (token) headers.authorization = `Bearer ${token}`;
  for (const [parameter, input] of fields) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (!input.value) continue;
    else if (parameter.in === "header") headers[parameter.name] = input.value;
    else query.set(parameter.name, input.value);
  }
  if (body) headers["content-type"] = "application/json";
  const url = path.slice(1) + (query.size ? `?${query}` : "");
  const response = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value });
  return `${response.status}\n${await response.text()}`;
};

const form = (description, method, path, call) => {
  const fields = (call.parameters || []).map((parameter) => [parameter, element("input")]);
  const inputs = fields.map(([parameter, input]) => element("label", `${parameter.name} (${parameter.in})`, input));
  const schema = call.requestBody?.content?.["application/json"]?.schema;
  const body = schema ? element("textarea") : undefined;
  if (body) body.value = JSON.stringify(sample(description, schema), null, 2);
  const statuses = Object.entries(call.responses || {}).map(([status, answer]) =>
    element("tr", "", element("td", status), element("td", answer.description)));
  const button = element("button", "Send");
  const answer = element("pre");
  answer.hidden = true;
  button.addEventListener("click", async () => {
    answer.hidden = false;
    answer.textContent = await send(method, path, call, fields, body).catch(String);
  });
  return element("details", "",
    element("summary", "", element("b", method.toUpperCase()), element("code", path), ` ${call.summary || ""}`),
    element("p", call.description || ""), ...inputs, ...(body ? [element("label", "body", body)] : []),
    button, answer, element("details", "", element("summary", "Answers"), element("table", "", ...statuses)));
};

const show = async () => {
  const description = await (await fetch("openapi.json")).json();
  document.getElementById("about").textContent = description.info.description;
  const methods = ["get", "put", "post", "patch", "delete"];
  for (const tag of description.tags) {
    const forms = Object.entries(description.paths).flatMap(([path, calls]) =>
      methods.filter((method) => calls[method]?.tags?.includes(tag.name))
        .map((method) => form(description, method, path, calls[method])));
    document.getElementById("calls").append(element("h2", tag.name), element("p", tag.description), ...forms);
  }
};

show();
