// <stem-player>: the element that anyone can put on a page of their own.
class StemPlayer extends HTMLElement {}

if (!customElements.get("stem-player")) customElements.define("stem-player", StemPlayer);
