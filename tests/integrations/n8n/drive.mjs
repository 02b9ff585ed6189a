/** Runs one of our nodes once, as n8n would: what to do comes in on stdin as JSON, what came of it goes out on stdout.
 *
 * It stands in for n8n's execution alone: parameters with the defaults of the description, credentials as their class
 * applies them, HTTP by fetch, files in memory. Pauses are cut to 50 ms and told.
 */

import { Readable } from "node:stream";
import "./hooks.mjs";

const SOURCES = new URL("../../../integrations/n8n/", import.meta.url);
const load = (path) => import(new URL(path, SOURCES).href);
const { Stemwright } = await load("nodes/Stemwright/Stemwright.node.ts");
const { StemwrightTrigger } = await load("nodes/StemwrightTrigger/StemwrightTrigger.node.ts");
const { StemwrightApi } = await load("credentials/StemwrightApi.credentials.ts");
const nodes = { stemwright: new Stemwright(), stemwrightTrigger: new StemwrightTrigger() };

const wish = JSON.parse(Buffer.concat(await Array.fromAsync(process.stdin)).toString());
const slept = [];
const wait = globalThis.setTimeout;
globalThis.setTimeout = (done, milliseconds, ...rest) => {
  if (!/\bsleep\b/.test(new Error().stack)) return wait(done, milliseconds, ...rest); // fetch has clocks of its own
  slept.push(milliseconds);
  return wait(done, Math.min(milliseconds, 50), ...rest);
};

// ---- parameters ----------------------------------------------------------------------------------------------------

const shown = (property, given) =>
  Object.entries(property.displayOptions?.show ?? {}).every(([name, values]) => values.includes(value(name, given)));

function value(name, given) {
  if (name in given) return given[name];
  return description().properties.find((one) => one.name === name && shown(one, given))?.default;
}

const description = () => nodes[wish.node].description;

function parameter(name, item, otherwise) {
  const found = value(name, wish.parameters ?? {}) ?? otherwise;
  if (found === undefined) throw new Error(`no parameter ${name}`);
  // The only expression among our defaults.
  return found === "={{ $json.taskId }}" ? wish.items[item].json.taskId : found;
}

// ---- credentials and HTTP ------------------------------------------------------------------------------------------

const credentialType = new StemwrightApi();

function expression(text) {
  const inner = (code) => new Function("$credentials", `return ${code}`)(wish.credentials);
  return text.startsWith("=") ? text.slice(1).replace(/\{\{(.*?)\}\}/g, (_, code) => inner(code)) : text;
}

async function httpRequest(options) {
  const url = new URL(options.url, options.baseURL);
  for (const [name, text] of Object.entries(options.qs ?? {})) url.searchParams.set(name, text);
  const plain = options.body && options.body.constructor === Object;
  const headers = { ...(plain ? { "content-type": "application/json" } : {}), ...options.headers };
  const body = plain ? JSON.stringify(options.body) : options.body;
  let answer;
  try {
    answer = await fetch(url, { method: options.method ?? "GET", headers, body });
  } catch (fault) {
    throw new Error(String(fault.cause?.code ?? fault.message)); // as n8n's own client names it
  }
  if (!answer.ok && !options.ignoreHttpStatusErrors) throw new Error(`Request failed with status code ${answer.status}`);
  if (options.encoding === "stream") return Readable.fromWeb(answer.body);
  let told = await answer.text();
  try {
    told = JSON.parse(told);
  } catch {
    // It stays a text.
  }
  if (!options.returnFullResponse) return told;
  return { statusCode: answer.status, headers: Object.fromEntries(answer.headers), body: told };
}

async function withAuthentication(name, options) {
  if (name !== credentialType.name) throw new Error(`no credentials ${name}`);
  const added = Object.entries(credentialType.authenticate.properties.headers);
  const headers = Object.fromEntries(added.map(([key, text]) => [key, expression(text)]));
  return await httpRequest({ ...options, headers: { ...options.headers, ...headers } });
}

// ---- an execution --------------------------------------------------------------------------------------------------

const shared = {
  getNode: () => ({ id: "node-1", name: description().displayName, type: wish.node, parameters: wish.parameters ?? {} }),
  getCredentials: async () => wish.credentials,
};

function binary(item, field) {
  const found = wish.items[item].binary?.[field];
  if (!found) throw new Error(`This operation expects the node's input data to contain a binary file '${field}'`);
  return found;
}

const execution = {
  ...shared,
  getInputData: () => wish.items,
  getNodeParameter: parameter,
  continueOnFail: () => wish.continueOnFail ?? false,
  getExecutionId: () => wish.executionId ?? "1",
  evaluateExpression: () => wish.runIndex ?? 0,
  getExecutionCancelSignal: () => (wish.stopped ? AbortSignal.abort() : undefined),
  helpers: {
    httpRequest,
    httpRequestWithAuthentication: withAuthentication,
    assertBinaryData: binary,
    getBinaryDataBuffer: async (item, field) => Buffer.from(binary(item, field).data, "base64"),
    prepareBinaryData: async (stream, fileName) => {
      const data = Buffer.concat(await Array.fromAsync(stream)).toString("base64");
      return { data, fileName, mimeType: "application/octet-stream" };
    },
  },
};

async function webhook() {
  const body = Buffer.from(wish.body, "base64");
  const answered = {};
  const response = {
    status(code) {
      answered.status = code;
      return response;
    },
    json(told) {
      answered.told = told;
      return response;
    },
  };
  const result = await nodes.stemwrightTrigger.webhook.call({
    ...shared,
    getNodeParameter: (name) => parameter(name, 0),
    getHeaderData: () => wish.headers,
    getBodyData: () => JSON.parse(body.toString()),
    getRequestObject: () => ({ rawBody: body }),
    getResponseObject: () => response,
    helpers: { returnJsonArray: (json) => [{ json }] },
  });
  return { ...result, answered };
}

const doing = {
  describe: async () => ({ stemwright: nodes.stemwright.description, stemwrightTrigger: nodes.stemwrightTrigger.description }),
  execute: async () => ({ items: (await nodes.stemwright.execute.call(execution))[0] }),
  webhook,
  activate: async () => ({ active: await nodes.stemwrightTrigger.webhookMethods.default.create.call(shared) }),
  test: async () => {
    const { request, rules } = credentialType.test;
    const told = await withAuthentication(credentialType.name, { ...request, baseURL: expression(request.baseURL) });
    const broken = rules.find(({ properties }) => told[properties.key] === properties.value);
    return broken ? { error: { message: broken.properties.message } } : { told };
  },
};

let result;
try {
  result = await doing[wish.doing]();
} catch (fault) {
  const { name, message, description: advice, httpCode, context } = fault;
  result = { error: { name: fault.constructor.name, message, description: advice, httpCode, itemIndex: context?.itemIndex } };
  if (!context) result.error.stack = fault.stack;
}
process.stdout.write(JSON.stringify({ ...result, slept }));
