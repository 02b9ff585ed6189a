// How the player looks. In a sheet of its own, so that neither a page's styles nor its content security policy matter.

const HUES: Record<string, number> = {
  vocals: 12,
  backing_vocals: 345,
  drums: 45,
  bass: 285,
  guitar: 70,
  keyboard: 230,
  strings: 150,
  brass: 95,
  woodwinds: 180,
  percussion: 28,
  synth: 310,
  fx: 205,
  instrumental: 240,
};

const hues = Object.entries(HUES).map(([name, hue]) => `[data-stem="${name}"]{--hue:${hue}}`);

const css = `
:host { display: block; --wave-light: 0.58; --wave-chroma: 0.17; color-scheme: light dark;
  --ground: light-dark(#ffffff, #14161c); --raised: light-dark(#f3f4f8, #1d2029); --line: light-dark(#dfe2ea, #2b2f3b);
  --text: light-dark(#191c24, #eceef4); --soft: light-dark(#565d6e, #a0a7b8); --accent: light-dark(#4338ca, #8b8cff);
  --on-accent: light-dark(#ffffff, #11131a); --veil: light-dark(rgb(255 255 255 / .62), rgb(20 22 28 / .58));
  --warn: light-dark(#b42318, #ff8a7a); }
:host([theme="light"]) { color-scheme: light }
:host([theme="dark"]) { color-scheme: dark }
:host([hidden]) { display: none }
* { box-sizing: border-box }
.player { container-type: inline-size; direction: ltr; font: 14px/1.4 system-ui, -apple-system, "Segoe UI", sans-serif; color: var(--text);
  background: var(--ground); border: 1px solid var(--line); border-radius: 14px; overflow: hidden; text-align: start }
.player:focus-visible, button:focus-visible, a:focus-visible, select:focus-visible, input:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px }
.player:focus-visible { outline-offset: -2px }
.message { display: flex; align-items: center; gap: 16px; padding: 24px; margin: 0; color: var(--soft) }
button, select, .go { font: inherit; color: inherit; cursor: pointer }
button:disabled { opacity: .4; cursor: default }
svg { width: 20px; height: 20px; display: block; flex: none }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); margin: 0 }

.bar { display: flex; align-items: center; flex-wrap: wrap; gap: 10px 14px; padding: 14px 16px }
.play { width: 48px; height: 48px; border-radius: 50%; border: 0; background: var(--accent); color: var(--on-accent);
  display: grid; place-items: center; transition: transform .12s }
.play:hover { transform: scale(1.05) }
.play svg { width: 26px; height: 26px }
[data-state="waiting"] .play { background: conic-gradient(var(--accent) 70%, var(--line)) ; animation: turn 1s linear infinite }
[data-state="waiting"] .play svg { animation: turn 1s linear infinite reverse }
@keyframes turn { to { rotate: 1turn } }
.time { font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; letter-spacing: -.01em; min-width: 118px }
.time small { display: inline-block; font-size: 14px; font-weight: 400; color: var(--soft) }
.tools { display: flex; flex-wrap: wrap; gap: 8px; flex: 1 }
.tool { display: inline-flex; align-items: center; justify-content: center; gap: 6px; min-height: 36px; min-width: 36px; padding: 0 9px;
  border: 1px solid var(--line); border-radius: 9px; background: var(--raised); font-weight: 550; text-decoration: none }
.tool:not(:disabled):hover { border-color: var(--soft) }
.tool[aria-pressed="true"], .go { background: var(--accent); border-color: var(--accent); color: var(--on-accent) }
.tool[aria-expanded="true"], .tool[data-marked] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent) }
.group { display: inline-flex; align-items: center }
.group > span { margin-inline: 6px 8px; color: var(--soft) }
.group .tool { border-radius: 0; margin-inline-start: -1px }
.group > span + .tool, .group .tool:first-child { border-radius: 9px 0 0 9px; margin: 0 }
.group .tool:last-child { border-radius: 0 9px 9px 0 }
.group .tool:hover, .group .tool:focus-visible { z-index: 1; position: relative }
.compare { display: inline-flex; padding: 3px; border: 1px solid var(--line); border-radius: 9px; background: var(--raised) }
.compare button { padding: 3px 10px; border: 0; border-radius: 6px; background: none; color: var(--soft); font-weight: 550 }
.compare button[aria-pressed="true"] { background: var(--accent); color: var(--on-accent) }
.master { display: flex; align-items: center; gap: 8px; color: var(--soft) }
.master .volume { width: 110px }
.meters { display: grid; gap: 3px; width: 64px }

.panel { display: flex; flex-wrap: wrap; align-items: center; gap: 12px 24px; margin: 0 16px 14px; padding: 14px 16px;
  background: var(--raised); border: 1px solid var(--line); border-radius: 10px }
.panel p { margin: 0; color: var(--soft); flex: 1 1 260px }
.panel label { display: inline-flex; align-items: center; gap: 10px; font-weight: 550 }
.panel output { min-width: 4.5ch; white-space: nowrap; font-variant-numeric: tabular-nums; font-weight: 400; color: var(--soft); text-align: end }
.panel input { width: 160px }
select { min-height: 36px; padding: 0 8px; border: 1px solid var(--line); border-radius: 9px; background: var(--ground) }
.trouble { margin: 10px 16px; color: var(--warn); font-weight: 550 }

input[type=range] { appearance: none; -webkit-appearance: none; background: none; margin: 0; height: 24px; cursor: pointer; border-radius: 6px; min-width: 0 }
input[type=range]::-webkit-slider-runnable-track { height: 4px; border-radius: 2px;
  background: linear-gradient(to right, var(--fill, var(--accent)) calc(var(--at, 0) * 100%), var(--rail) 0) }
input[type=range]::-moz-range-track { height: 4px; border-radius: 2px;
  background: linear-gradient(to right, var(--fill, var(--accent)) calc(var(--at, 0) * 100%), var(--rail) 0) }
input[type=range]::-webkit-slider-thumb { -webkit-appearance: none; width: 14px; height: 14px; margin-top: -5px; border-radius: 50%;
  background: var(--text); border: 2px solid var(--ground); box-shadow: 0 0 0 1px var(--soft) }
input[type=range]::-moz-range-thumb { width: 10px; height: 10px; border-radius: 50%; background: var(--text);
  border: 2px solid var(--ground); box-shadow: 0 0 0 1px var(--soft) }
.player { --rail: light-dark(#c6cad6, #3d4250) }
input.pan::-webkit-slider-runnable-track, .tempo::-webkit-slider-runnable-track, .pitch::-webkit-slider-runnable-track {
  background: linear-gradient(to right, #0000 calc(50% - 1px), var(--text) 0 calc(50% + 1px), #0000 0) center / 100% 100%,
  light-dark(#c6cad6, #3d4250) }
input.pan::-moz-range-track, .tempo::-moz-range-track, .pitch::-moz-range-track {
  background: linear-gradient(to right, #0000 calc(50% - 1px), var(--text) 0 calc(50% + 1px), #0000 0) center / 100% 100%,
  light-dark(#c6cad6, #3d4250) }

.overview { position: relative; height: 44px; margin: 0 16px 10px; border-radius: 8px; background: var(--raised); overflow: hidden; --played: 0 }
.overview canvas { width: 100%; height: 100%; color: var(--soft); display: block }
.overview::after { content: ""; position: absolute; inset: 0 auto 0 0; width: calc(var(--played) * 100%); background: var(--accent); opacity: .22;
  border-inline-end: 2px solid var(--accent); pointer-events: none }
.overview .window { position: absolute; inset-block: 0; left: calc(var(--from) * 100%); width: calc((var(--to) - var(--from)) * 100%);
  border: 1.5px solid var(--text); border-radius: 6px; pointer-events: none; min-width: 4px }
.seek { position: absolute; inset: 0; width: 100%; height: 100% !important; opacity: 0; z-index: 1 }
.overview:has(.seek:focus-visible) { outline: 2px solid var(--accent); outline-offset: 2px }

.lanes { position: relative; border-top: 1px solid var(--line); --strip: 348px; touch-action: pan-y }
.ruler, .lane { display: grid; grid-template: minmax(0, 1fr) / var(--strip) minmax(0, 1fr) }
canvas { contain: size }
.ruler { height: 24px; border-bottom: 1px solid var(--line); background: var(--raised) }
.ruler canvas { width: 100%; height: 100%; color: var(--soft); cursor: text }
.lane { --hue: 260; --colour: oklch(var(--wave-light) var(--wave-chroma) var(--hue)); border-bottom: 1px solid var(--line); height: 58px }
.lane:last-of-type { border-bottom: 0 }
.strip { display: grid; grid-template: "chip name mute solo meter" 30px "chip volume pan pan meter" 24px / 22px 1fr 32px 32px 6px;
  align-items: center; column-gap: 6px; padding: 2px 10px 2px 12px; background: var(--raised); border-inline-end: 1px solid var(--line) }
.chip { grid-area: chip; align-self: stretch; margin: 6px 0; border-radius: 5px; background: var(--colour); color: #fff; font-size: 11px; font-weight: 700;
  display: grid; place-items: center; width: 18px }
.name { grid-area: name; font-weight: 600; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
.name small { margin-inline-start: 6px; font-weight: 400; font-size: 11px; color: var(--soft) }
.mute, .solo { height: 26px; border-radius: 6px; border: 1px solid var(--line); background: var(--ground); font-weight: 700; font-size: 12px; padding: 0 }
.mute { grid-area: mute } .solo { grid-area: solo }
.mute:hover, .solo:hover { border-color: var(--soft) }
.mute[aria-pressed="true"] { background: light-dark(#b42318, #ff8a7a); color: light-dark(#fff, #1b1012); border-color: #0000 }
.solo[aria-pressed="true"] { background: light-dark(#8a5a00, #ffd166); color: light-dark(#fff, #1d1703); border-color: #0000 }
.strip .volume { grid-area: volume; width: 100%; --fill: var(--colour) } .strip .pan { grid-area: pan; width: 100% }
.meter { display: block; position: relative; overflow: hidden; border-radius: 3px; background: light-dark(#d8dbe4, #343947); height: 5px }
.meter span { --level: 0; position: absolute; inset: 0; background: linear-gradient(to right, light-dark(#16803c, #4ade80) 65%, light-dark(#b45309, #fbbf24) 85%, light-dark(#b42318, #f87171));
  clip-path: inset(0 calc(100% - var(--level) * 100%) 0 0) }
.meter span[data-clips] { box-shadow: inset 0 0 0 9px light-dark(#b42318, #f87171) }
.strip .meter { grid-area: meter; align-self: stretch; height: auto; margin: 6px 0 }
.strip .meter span { background: linear-gradient(to top, light-dark(#16803c, #4ade80) 65%, light-dark(#b45309, #fbbf24) 85%, light-dark(#b42318, #f87171));
  clip-path: inset(calc(100% - var(--level) * 100%) 0 0 0) }
.wave { width: 100%; height: 100%; color: var(--colour); cursor: text; min-width: 0; display: block }
.lane[data-dark] .wave { color: light-dark(#b9bdc9, #474c5a) }
.lane[data-dark] .name { color: var(--soft) }
.over { position: absolute; inset: 0 0 0 var(--strip); pointer-events: none; overflow: hidden; --played: 0 }
.ahead { position: absolute; inset: 24px 0 0 max(0%, calc(var(--played) * 100%)); background: var(--veil) }
.head { position: absolute; inset-block: 0; left: calc(var(--played) * 100%); width: 2px; margin-inline-start: -1px; background: var(--text) }
.loop { position: absolute; inset-block: 0; left: calc(var(--a) * 100%); width: calc((var(--b) - var(--a)) * 100%); pointer-events: none;
  background: color-mix(in srgb, var(--accent) 16%, #0000); border-inline: 2px solid var(--accent); min-width: 2px }
${hues.join("\n")}

@media (prefers-color-scheme: dark) { :host(:not([theme="light"])) { --wave-light: .74; --wave-chroma: .15 }
  :host(:not([theme="light"])) .chip { color: #14161c } }
:host([theme="dark"]) { --wave-light: .74; --wave-chroma: .15 }
:host([theme="dark"]) .chip { color: #14161c }
:host([theme="light"]) .chip { color: #fff }

@container (max-width: 1180px) { .time { margin-inline-end: auto } .tools { order: 3; flex: 1 0 100% } }
@container (max-width: 900px) { .wide:not(.karaoke) span { display: none } .master .volume { width: 84px } .lanes { --strip: 236px } .name { font-size: 13px }
  .strip { grid-template-columns: 22px 1fr 28px 28px 6px } }
@container (max-width: 560px) {
  .bar { padding: 12px; gap: 10px } .time { flex: 1; min-width: 0 } .master { order: 2 } .meters { width: 36px } .tools { justify-content: space-between; gap: 6px } .group > span { display: none }
  .name { white-space: normal; line-height: 1.15; overflow-wrap: anywhere }
  .tool { min-height: 40px; padding: 0 8px } .compare button { padding: 5px 8px } .overview, .panel { margin-inline: 12px }
  .lanes { --strip: 0px } .ruler { grid-template-columns: minmax(0, 1fr) } .ruler span { display: none }
  .lane { grid-template: auto 34px / minmax(0, 1fr); height: auto; padding-bottom: 4px }
  .strip { position: relative; z-index: 1; grid-template: "chip name volume pan mute solo meter" 44px / 20px minmax(0, 1fr) 64px 38px 36px 36px 5px; border: 0; background: var(--ground); padding-inline: 12px }
  .chip { margin: 12px 0 } .mute, .solo { height: 36px } .name small { display: block; margin: 0; line-height: 1 } .wave { padding: 0 }
}
@container (max-width: 310px) { .meters { display: none }
  .strip { grid-template: "chip name mute solo meter" 40px "chip volume pan pan meter" 30px / 20px minmax(0, 1fr) 36px 36px 5px } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important } }
@media (forced-colors: active) { .meter span, .chip, .loop, .head { forced-color-adjust: none } }
`;

let made: CSSStyleSheet | null = null;

/** The one sheet that all players of a page share. */
export function sheet(): CSSStyleSheet {
  if (!made) {
    made = new CSSStyleSheet();
    made.replaceSync(css);
  }
  return made;
}
