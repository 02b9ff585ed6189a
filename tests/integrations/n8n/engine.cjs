/** Runs a workflow in n8n's own engine, n8n-core, with the built package loaded as n8n loads it.
 *
 * stdin: {package, workflow, credentials, song}; stdout: what each node put out. n8n's own nodes are not here: one that
 * fetches puts out the song, any other passes on what it gets.
 */

require("reflect-metadata");
const { Container } = require("@n8n/di");
const { ExecutionLifecycleHooks, PackageDirectoryLoader, WorkflowExecute } = require("n8n-core");
const { Workflow } = require("n8n-workflow");

const foreign = (fetches, song) => ({
  description: { inputs: ["main"], outputs: ["main"], properties: [], defaults: {}, version: 1 },
  async execute() {
    if (!fetches) return [this.getInputData()];
    const data = await this.helpers.prepareBinaryData(Buffer.from(song), "Übung.mp3", "audio/mpeg");
    return [[{ json: {}, binary: { data } }]];
  },
});

async function main({ package: folder, workflow: drawn, credentials, song }) {
  const loader = new PackageDirectoryLoader(folder);
  await loader.loadAll();
  const named = (type) => type.startsWith("n8n-nodes-stemwright.") && loader.nodeTypes[type.split(".")[1]].type;
  const typeOf = (type) => named(type) || foreign(type.endsWith(".httpRequest"), song);
  const nodeTypes = { getByName: typeOf, getByNameAndVersion: typeOf, getKnownTypes: () => ({}) };
  const chosen = { stemwrightApi: { id: "1", name: "Stemwright" } };
  const nodes = drawn.nodes.map((node) => (named(node.type) ? { ...node, credentials: chosen } : node));
  const workflow = new Workflow({ ...drawn, id: "w", nodes, active: false, nodeTypes, settings: {} });

  const { headers } = loader.credentialTypes.stemwrightApi.type.authenticate.properties;
  const known = { $credentials: credentials };
  const resolved = (text) =>
    workflow.expression.resolveSimpleParameterValue(text, known, null, 0, 0, nodes[0].name, [], "manual", known);
  const credentialsHelper = {
    getParentTypes: () => [],
    isCredentialUsableByNode: () => true,
    preAuthentication: async () => undefined,
    getDecrypted: async () => credentials,
    authenticate: async (_, type, options) => {
      const added = Object.entries(headers).map(([name, text]) => [name, resolved(text)]);
      return { ...options, headers: { ...options.headers, ...Object.fromEntries(added) } };
    },
  };
  const bases = ["webhook", "webhookWaiting", "webhookTest", "form", "formWaiting", "instance"];
  const additional = {
    ...Object.fromEntries(bases.map((name) => [`${name}BaseUrl`, `http://127.0.0.1/${name}`])),
    credentialsHelper,
    executionId: "1",
    restApiUrl: "http://127.0.0.1/rest",
    variables: {},
    hooks: new ExecutionLifecycleHooks("manual", "1", drawn),
    setExecutionStatus() {},
    externalSecretsProxy: { hasProvider: () => false },
  };
  const run = await new WorkflowExecute(additional, "manual").run({ workflow, startNode: workflow.getNode(nodes[0].name) });
  const told = ([name, [{ data, error }]]) => [name, error ? { error: error.message } : { items: data.main[0] }];
  const icons = loader.types.nodes.map(({ name, iconUrl }) => [name, iconUrl.light]);
  return { icons, nodes: Object.fromEntries(Object.entries(run.data.resultData.runData).map(told)) };
}

const stdin = require("node:fs").readFileSync(0, "utf8");
main(JSON.parse(stdin)).then(
  (result) => {
    process.stdout.write(`\n${JSON.stringify(result)}`, () => process.exit(0)); // n8n's engine keeps timers
  },
  (fault) => {
    console.error(fault);
    process.exit(1);
  },
);
