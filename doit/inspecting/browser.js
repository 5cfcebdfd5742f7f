// Shows the rows of the page's data, a page at a time.
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

  const next = () => {
    for (const at of found.slice(shown, shown + PAGE)) card(list, data[at]);
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
