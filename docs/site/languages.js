// Blocks of code in different languages that follow each other are one example: show one of them, and remember which.
const NAMES = { sh: "curl", python: "Python", ts: "TypeScript" };
const language = (node) => Object.keys(NAMES).find((name) => node?.classList.contains(`language-${name}`));

const groups = [];
for (const block of document.querySelectorAll("div.highlight")) {
  const last = groups.at(-1);
  const follows = last?.at(-1) === block.previousElementSibling && !last.some((one) => language(one) === language(block));
  if (language(block)) follows ? last.push(block) : groups.push([block]);
}

const bars = groups.filter((group) => group.length > 1).map((group) => {
  const bar = document.createElement("div");
  bar.className = "languages";
  for (const block of group) {
    const button = document.createElement("button");
    button.textContent = NAMES[language(block)];
    button.addEventListener("click", () => show(language(block)));
    bar.append(button);
  }
  group[0].before(bar);
  return { group, buttons: [...bar.children] };
});

function show(chosen) {
  localStorage.setItem("language", chosen);
  for (const { group, buttons } of bars) {
    const shown = Math.max(0, group.findIndex((block) => language(block) === chosen));
    group.forEach((block, at) => { block.hidden = at !== shown; });
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === shown)));
  }
}
show(localStorage.getItem("language") ?? "sh");
