// Docs: the API as the server publishes it, with this server's address in every example.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { away } from "../api";
import { useStore } from "../store";
import { Copy, Title, Wrong } from "../ui";

// An OpenAPI document is read as it comes: whatever is not there is not shown.
// eslint-disable-next-line
type Any = any;

const METHODS = ["get", "post", "put", "patch", "delete"];

export function Docs(): JSX.Element {
  const [contract, setContract] = useState<Any>();
  const [fault, setFault] = useState("");
  const gone = useStore(away);
  useEffect(() => {
    if (contract || gone) return;
    fetch("/openapi.json").then((answer) => answer.json()).then((found) => { setFault(""); setContract(found); }, () => setFault("The API's description could not be loaded. Reload to try again."));
  }, [gone]);
  useEffect(() => {
    if (contract && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, [contract]);
  return (
    <>
      <Title>Docs</Title>
      <p class="lead">The HTTP API of this server. <span class="soft">Also as <a href="/openapi.json" target="_blank">OpenAPI 3.1</a>, as <a href="/docs" target="_blank">a page without this console</a>, and <a href="/llms.txt" target="_blank">in short for language models</a>.</span></p>
      {fault && <Wrong fault={{ message: fault }} />}
      {!contract && !fault && <p class="pending" aria-busy="true">Loading the API's description …</p>}
      {contract && <Reference contract={contract} />}
    </>
  );
}

function Reference({ contract }: { contract: Any }): JSX.Element {
  const follow = (thing: Any): Any => (thing?.$ref ? follow(thing.$ref.slice(2).split("/").reduce((at: Any, key: string) => at[key.replaceAll("~1", "/")], contract)) : thing);
  const operations = Object.entries<Any>(contract.paths).flatMap(([path, methods]) => METHODS.filter((method) => methods[method]).map((method) => ({ path, method, op: methods[method], shared: methods.parameters ?? [] })));
  const tags: Any[] = contract.tags ?? [];
  return (
    <div class="docs">
      <nav aria-label="Operations" class="toc">
        {tags.map((tag) => <div key={tag.name}><h2>{tag.name}</h2>{operations.filter(({ op }) => op.tags?.includes(tag.name)).map(({ op }) => <a key={op.operationId} href={`#${op.operationId}`}>{op.summary}</a>)}</div>)}
        <div><h2>player</h2><a href="#player">A player on your page</a></div>
      </nav>
      <div>
        <section class="prose"><Prose text={contract.info.description} /></section>
        {tags.flatMap((tag) => operations.filter(({ op }) => op.tags?.includes(tag.name)).map((one) => <Operation key={one.op.operationId} {...one} follow={follow} server={contract.servers[0].url} keyed={!(one.op.security && one.op.security.length === 0)} />))}
        <section class="operation" id="player" aria-labelledby="player-title">
          <h2 id="player-title">A player on your page</h2>
          <p>One script tag, and the stems of a finished task play in sync on any page, with mute, solo and volume for each.</p>
          <Example text={`<script type="module" src="${contract.servers[0].url}/console/stem-player.js"></script>\n<stem-player src="…"></stem-player>`} />
        </section>
      </div>
    </div>
  );
}

interface Shown {
  path: string;
  method: string;
  op: Any;
  shared: Any[];
  follow: (thing: Any) => Any;
  server: string;
  keyed: boolean;
}

function Operation({ path, method, op, shared, follow, server, keyed }: Shown): JSX.Element {
  const parameters = [...shared, ...(op.parameters ?? [])].map(follow);
  const body = op.requestBody && follow(op.requestBody);
  return (
    <section class="operation" id={op.operationId} aria-labelledby={`${op.operationId}-title`}>
      <h2 id={`${op.operationId}-title`}>{op.summary}</h2>
      <p class="where"><strong>{method.toUpperCase()}</strong> <code>{path}</code></p>
      <Prose text={op.description} />
      <Example text={curl({ path, method, parameters, body, server, keyed, follow })} />
      {parameters.length > 0 && <Rows caption={`Parameters of ${op.summary}`} head={["Parameter", "In", "What it is"]} rows={parameters.map((each: Any) => [<><code>{each.name}</code>{!each.required && <span class="soft"> optional</span>}</>, each.in, <Prose text={each.description} />])} />}
      {body && <Media content={body.content} follow={follow} title="Request" />}
      {Object.entries<Any>(op.responses).map(([status, response]) => {
        const found = follow(response);
        return <details key={status}><summary><strong>{status}</strong> {(found.description ?? "").trim()}</summary><Media content={found.content ?? {}} follow={follow} /></details>;
      })}
      {Object.entries<Any>(op.callbacks ?? {}).map(([name, callback]) => {
        const told = Object.values<Any>(callback)[0].post;
        return <details key={name}><summary><strong>Callback</strong> {told.summary}</summary><Prose text={told.description} /><Media content={told.requestBody.content} follow={follow} /></details>;
      })}
    </section>
  );
}

function Media({ content, follow, title }: { content: Any; follow: (thing: Any) => Any; title?: string }): JSX.Element {
  return (
    <>
      {Object.entries<Any>(content).map(([type, media]) => (
        <div key={type}>
          {title && <h3>{title} <code class="soft">{type}</code></h3>}
          <Fields schema={media.schema} follow={follow} />
          {Object.entries<Any>(media.examples ?? {}).map(([name, example]) => <details key={name}><summary>Example: {follow(example).summary ?? name}</summary><pre tabIndex={0}>{JSON.stringify(follow(example).value, null, 2)}</pre></details>)}
        </div>
      ))}
    </>
  );
}

function Fields({ schema, follow, depth = 0 }: { schema: Any; follow: (thing: Any) => Any; depth?: number }): JSX.Element | null {
  const found = follow(schema) ?? {};
  const inside = found.anyOf && !found.properties ? found.anyOf.map(follow).find((each: Any) => each.properties || each.type === "array") : found;
  const object = inside?.type === "array" ? follow(inside.items) : inside;
  if (!object?.properties || depth > 3) return null;
  const rows = Object.entries<Any>(object.properties);
  return (
    <>
      <Rows caption="Fields" head={["Field", "Type", "What it is"]} rows={rows.map(([name, value]) => [<><code>{name}</code>{!(object.required ?? []).includes(name) && <span class="soft"> optional</span>}</>, <span class="soft">{typeOf(value, follow)}</span>, <Prose text={value.description ?? follow(value).description} />])} />
      {rows.map(([name, value]) => {
        const more = <Fields schema={value} follow={follow} depth={depth + 1} />;
        const target = follow(value);
        const nested = target?.properties || follow(target?.items)?.properties || target?.anyOf?.some((each: Any) => follow(each).properties);
        return nested ? <details key={name}><summary><code>{name}</code></summary>{more}</details> : null;
      })}
    </>
  );
}

function typeOf(schema: Any, follow: (thing: Any) => Any): string {
  const found = follow(schema) ?? {};
  if ("const" in found) return JSON.stringify(found.const);
  if (found.enum) return found.enum.length > 14 ? `one of ${found.enum.length} names` : found.enum.map((each: Any) => JSON.stringify(each)).join(" | ");
  if (found.anyOf && !found.properties) return found.anyOf.map((each: Any) => typeOf(each, follow)).join(" | ");
  if (found.type === "array") return `[${typeOf(found.items, follow)}]`;
  return [found.type ?? "object"].flat().join(" | ");
}

function Rows({ caption, head, rows }: { caption: string; head: string[]; rows: ComponentChildren[][] }): JSX.Element {
  return (
    <div class="table" role="group" aria-label={caption} tabIndex={0}>
      <table><caption class="hidden">{caption}</caption><thead><tr>{head.map((cell) => <th scope="col" key={cell}>{inline(cell)}</th>)}</tr></thead><tbody>{rows.map((row, at) => <tr key={at}>{row.map((cell, column) => <td key={column}>{cell}</td>)}</tr>)}</tbody></table>
    </div>
  );
}

function Example({ text }: { text: string }): JSX.Element {
  return <div class="example"><pre tabIndex={0}>{text}</pre><Copy text={text} /></div>;
}

function curl({ path, method, parameters, body, server, keyed, follow }: { path: string; method: string; parameters: Any[]; body: Any; server: string; keyed: boolean; follow: (thing: Any) => Any }): string {
  const query = parameters.filter((each) => each.in === "query" && each.required).map((each) => `${each.name}=${each.example ?? "…"}`).join("&");
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}"${server}${path}${query ? `?${query}` : ""}"`];
  if (keyed) lines.push(`-H "Authorization: Bearer $KEY"`);
  const json = body?.content?.["application/json"];
  if (json) {
    const example = follow(Object.values<Any>(json.examples ?? {})[0])?.value;
    lines.push(`-H "Content-Type: application/json"`, `-d '${JSON.stringify(example ?? {}).replaceAll("'", "'\\''")}'`);
  } else if (body?.content?.["multipart/form-data"]) lines.push(`-F file=@song.mp3`);
  return lines.join(" \\\n     ");
}

/** The little markdown that descriptions have: paragraphs, tables, code and bold. Text, never markup. */
function Prose({ text }: { text: string | undefined }): JSX.Element | null {
  if (!text?.trim()) return null;
  const blocks = text.trim().split(/\n\s*\n/);
  return <>{blocks.map((block, at) => {
    const lines = block.split("\n");
    if (lines.length > 2 && lines[0]?.startsWith("|")) {
      const rows = lines.filter((_, index) => index !== 1).map((line) => line.replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim()));
      return <Rows key={at} caption="Overview" head={rows[0] ?? []} rows={rows.slice(1).map((row) => row.map(inline))} />;
    }
    return <p key={at}>{inline(block)}</p>;
  })}</>;
}

function inline(text: string): ComponentChildren {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part, at) => (part.startsWith("`") ? <code key={at}>{part.slice(1, -1)}</code> : part.startsWith("**") ? <strong key={at}>{part.slice(2, -2)}</strong> : part));
}
