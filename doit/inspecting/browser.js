"use strict";
// Shows the rows of the page's data, a page at a time. Texts are put in as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("row-data").textContent);
  const list = document.getElementById("row-list");
  const search = document.getElementById("row-search");
  const more = document.getElementById("row-more");
  const count = document.getElementById("row-count");
  const selects = [...document.querySelectorAll("select[data-column]")];
  const PAGE = 10;
  let found = [], shown = 0;

  const folded = (text) => text.normalize("NFKC").toLowerCase();
  const searched = data.map((row) => folded([row.id, row.place, ...row.tags, ...row.messages.map((m) => m[1])].join("\n")));

  const put = (parent, tag, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    parent.append(made);
    return made;
  };

  const card = (row) => {
    const article = put(list, "article", undefined, "row");
    const head = put(article, "p", undefined, "row-head");
    put(head, "b", row.ability);
    put(head, "span", row.language);
    put(head, "span", row.place);
    put(head, "span", row.license);
    for (const tag of row.tags) put(head, "span", tag);
    put(head, "code", row.id);
    for (const [role, text] of row.messages) {
      const turn = put(article, "div", undefined, "turn " + role);
      put(turn, "span", role, "role");
      put(turn, "div", text, "text").lang = row.language;
    }
  };

  const next = () => {
    for (const at of found.slice(shown, shown + PAGE)) card(data[at]);
    shown = Math.min(shown + PAGE, found.length);
    count.textContent = `${shown} of ${found.length} found, ${data.length} in this page`;
    more.hidden = shown === found.length;
  };

  const look = () => {
    const words = folded(search.value).split(/\s+/).filter(Boolean);
    found = [];
    data.forEach((row, at) => {
      const fits = selects.every((one) => !one.value || row[one.dataset.column] === one.value);
      if (fits && words.every((word) => searched[at].includes(word))) found.push(at);
    });
    shown = 0;
    list.replaceChildren();
    next();
  };

  more.addEventListener("click", next);
  search.addEventListener("input", look);
  for (const one of selects) one.addEventListener("change", look);
  // A link such as report.html#find=word opens the page with that search.
  const asked = () => {
    if (!location.hash.startsWith("#find=")) return;
    search.value = decodeURIComponent(location.hash.slice(6));
    document.getElementById("rows-browser").scrollIntoView({ behavior: "instant" });
    look();
  };
  window.addEventListener("hashchange", asked);
  look();
  asked();
})();
