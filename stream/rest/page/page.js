// Tries the REST API: one form for each operation of its description. Nothing is loaded from anywhere else.

const description = await (await fetch("openapi.json")).json();
const token = document.querySelector("#token");
document.querySelector("#description").textContent = description.info.description;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function bodyOf(operation) {
  const content = operation.requestBody?.content["application/json"].schema.$ref;
  return content ? description.components.schemas[content.split("/").pop()] : { properties: {} };
}

function fieldsOf(operation) {
  const body = bodyOf(operation);
  const inBody = Object.entries(body.properties).map(([name, schema]) => ({ name, in: "body", schema, description: schema.description, required: body.required?.includes(name) }));
  return [...operation.parameters, ...inBody];
}

function input(field) {
  const { schema } = field;
  const choices = schema.enum ?? schema.anyOf?.find((each) => each.enum)?.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  return choices ? element("select", {}, element("option"), ...choices.map((choice) => element("option", {}, choice))) : element("input", { autocomplete: "off" });
}

function valueOf(schema, text) {
  return schema.type === "string" || schema.enum || schema.anyOf ? text : JSON.parse(text);
}

function request(method, path, inputs) {
  const query = new URLSearchParams();
  const headers = {};
  const body = {};
  let address = path;
  for (const [field, { value }] of inputs) {
    if (value === "") continue;
    if (field.in === "path") address = address.replace(`{${field.name}}`, encodeURIComponent(value));
    else if (field.in === "query") query.set(field.name, value);
    else if (field.in === "header") headers[field.name] = value;
    else body[field.name] = valueOf(field.schema, value);
  }
  if (token.value) headers.Authorization = `Bearer ${token.value.trim()}`;
  const sent = { method, headers };
  if (method === "POST" || method === "PUT") {
    headers["Content-Type"] = "application/json";
    sent.body = JSON.stringify(body);
  }
  return [query.size ? `${address}?${query}` : address, sent];
}

function curl(address, { method, headers, body }) {
  const shown = Object.entries(headers).map(([name, value]) => ` -H '${name}: ${name === "Authorization" ? "Bearer '$TOKEN'" : value}'`);
  return `curl -X ${method} '${location.origin}${address}'${shown.join("")}${body ? ` -d '${body}'` : ""}`;
}

async function send(method, path, inputs, shown) {
  try {
    const [address, sent] = request(method, path, inputs);
    const answer = await fetch(address, { ...sent, cache: "no-store" });
    const text = await answer.text();
    const tag = answer.headers.get("ETag");
    const pretty = text ? JSON.stringify(JSON.parse(text), null, 1) : "";
    shown.textContent = `${curl(address, sent)}\n\n${answer.status} ${answer.statusText}${tag ? `   ETag: ${tag}` : ""}\n${pretty}`;
  } catch (error) {
    shown.textContent = `This cannot be sent: ${error.message}`;
  }
}

function form(method, path, operation) {
  const inputs = fieldsOf(operation).map((field) => [field, input(field)]);
  const shown = element("pre", { hidden: true });
  const made = element("form", {}, ...inputs.map(([field, control]) =>
    element("label", {}, `${field.name}${field.required ? " *" : ""} `, control, element("small", {}, field.description ?? ""))), element("button", {}, "Send"), shown);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    shown.hidden = false;
    send(method, path, inputs, shown);
  });
  const lock = operation.security ? " (token)" : "";
  return element("details", { id: operation.operationId }, element("summary", {}, element("b", {}, method), path, element("small", {}, operation.summary + lock)), made);
}

for (const [path, operations] of Object.entries(description.paths)) {
  for (const [method, operation] of Object.entries(operations)) document.querySelector("#operations").append(form(method.toUpperCase(), path, operation));
}
