"use strict";
// How a row is drawn. Texts are put in as text, never as markup.
const put = (parent, tag, text, name) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  parent.append(made);
  return made;
};

const card = (list, row) => {
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
