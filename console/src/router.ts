// Pages by address, without loading the document again.
import { Store, useStore } from "./store";

const at = new Store(location.pathname + location.search);

/** Whether the way here was back or forward in the history: such a page is shown as it was, and then loaded again. */
export let returned = false;

addEventListener("popstate", () => {
  returned = true;
  at.set(location.pathname + location.search);
});
addEventListener("click", (event) => {
  const link = (event.target as Element).closest?.("a");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.hasAttribute("download") || link.origin !== location.origin || !isPage(link.pathname) || link.hash) return;
  event.preventDefault();
  go(link.pathname + link.search);
});

const isPage = (path: string): boolean => path === "/" || (path.startsWith("/console/") && !path.startsWith("/console/api/") && !path.includes("."));

/** `state` is kept with the page's place in the history: a reload and the way back find it again. */
export function go(address: string, { replace = false, state = null as unknown } = {}): void {
  if (address === at.value) return;
  returned = false;
  history[replace ? "replaceState" : "pushState"](state, "", address);
  if (!replace) scrollTo(0, 0);
  at.set(address);
}

/** The page's name and what follows it: `/console/tasks/abc?text=x` → ["tasks", "abc"]. */
export function useRoute(): { page: string; rest: string; query: URLSearchParams } {
  const [path = "", query = ""] = useStore(at).split("?");
  const [page = "", rest = ""] = path.replace(/^\/console/, "").split("/").filter(Boolean);
  return { page, rest: decoded(rest), query: new URLSearchParams(query) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // no address of ours: its page says that there is nothing
  }
}
