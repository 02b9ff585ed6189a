// <stem-player src="…">: the element that anyone can put on a page of their own, with one script tag.

import { h, render } from "preact";
import { Engine } from "./engine";
import { explained, Song } from "./song";
import { sheet } from "./style";
import { Player } from "./view";

/**
 * Attributes: `src`, the address of a player's file; `label`, what the song is called; `theme`, "light" or "dark"
 * (default: as the person prefers); `budget`, the megabytes that decoded sound may take.
 */
export class StemPlayer extends HTMLElement {
  static observedAttributes = ["src", "label"];
  /** What plays, once the file has been read. */
  engine: Engine | null = null;
  private song: Song | null = null;
  private opened = "";
  private readonly root: HTMLElement;

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [sheet()];
    this.root = shadow.appendChild(document.createElement("div"));
  }

  connectedCallback(): void {
    void this.open();
  }

  disconnectedCallback(): void {
    this.engine?.close();
    this.engine = this.song = null;
    this.opened = "";
    render(null, this.root);
  }

  attributeChangedCallback(): void {
    if (this.isConnected) void this.open();
  }

  private async open(): Promise<void> {
    const src = this.getAttribute("src") ?? "";
    if (src === this.opened) return this.show();
    this.engine?.close();
    this.engine = this.song = null;
    this.opened = src;
    if (!src) return;
    this.tell("Loading …");
    try {
      const song = await Song.open(src);
      if (this.opened !== src || !this.isConnected) return;
      const budget = Number(this.getAttribute("budget"));
      this.song = song;
      this.engine = new Engine(song, budget > 0 ? budget * 2 ** 20 : undefined);
      this.show();
      this.dispatchEvent(new Event("ready"));
    } catch (fault) {
      this.opened = "";
      this.tell(explained(fault), () => void this.open());
    }
  }

  private show(): void {
    if (this.song && this.engine)
      render(h(Player, { song: this.song, engine: this.engine, title: this.getAttribute("label") ?? "" }), this.root);
  }

  private tell(text: string, again?: () => void): void {
    const button = again && h("button", { type: "button", class: "tool", onClick: again }, "Try again");
    render(h("p", { class: "player message", role: "status" }, text, button), this.root);
  }
}

if (!customElements.get("stem-player")) customElements.define("stem-player", StemPlayer);
