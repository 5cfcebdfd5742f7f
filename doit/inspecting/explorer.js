// Asks the server for rows, a page at a time, for every pool side by side.
(() => {
  const search = document.getElementById("row-search");
  const pools = [...document.querySelectorAll("[data-pool]")].map((section) => ({
    section,
    list: section.querySelector(".row-list"),
    count: section.querySelector(".row-count"),
    more: section.querySelector("button"),
    selects: [...section.querySelectorAll("select")],
    shown: 0,
    asked: 0,
  }));

  const next = async (pool) => {
    const query = new URLSearchParams({ pool: pool.section.dataset.pool, search: search.value, offset: pool.shown });
    for (const one of pool.selects) if (one.value) query.append("where", `${one.dataset.column}=${one.value}`);
    const asked = ++pool.asked;
    pool.count.textContent = "…";
    const answer = await (await fetch(`/rows?${query}`)).json();
    if (asked !== pool.asked) return;
    if (!pool.shown) pool.list.replaceChildren();
    for (const row of answer.rows) card(pool.list, row);
    pool.shown += answer.rows.length;
    pool.count.textContent = answer.error || `${pool.shown} of ${answer.found} found`;
    pool.more.hidden = pool.shown >= answer.found;
  };

  const look = (pool) => {
    pool.shown = 0;
    return next(pool);
  };

  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => pools.forEach(look), 250);
  });
  for (const pool of pools) {
    pool.more.addEventListener("click", () => next(pool));
    for (const one of pool.selects) one.addEventListener("change", () => look(pool));
    look(pool);
  }
})();
