// What every report can do: a tab stop where something scrolls, tables that are sorted, parts that are hidden.
"use strict";

(() => {
  const all = (query, inside = document) => [...inside.querySelectorAll(query)];

  function scrolling(box) {
    if (box.scrollWidth > box.clientWidth + 1) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", box.dataset.label);
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
  const watcher = new ResizeObserver((entries) => entries.forEach((entry) => scrolling(entry.target.closest(".scroll"))));
  all(".scroll").forEach((box) => { watcher.observe(box); all(":scope > *", box).forEach((one) => watcher.observe(one)); });

  function worth(cell) {
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    const text = cell.textContent.trim();
    return text === "-" ? null : text;
  }

  function compare(one, other) {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), "en", { numeric: true });
  }

  function sort(table, place, heads) {
    const head = heads[place], order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const body = table.tBodies[0], sign = order === "ascending" ? 1 : -1;
    const missing = (value) => value === null || Number.isNaN(value);
    const rows = [...body.rows].map((row) => [worth(row.cells[place]), row]);
    rows.sort(([one], [other]) => missing(one) || missing(other) ? missing(one) - missing(other)
      : sign * compare(one, other));  // what is missing stays last
    rows.forEach(([, row]) => body.append(row));
  }

  all("table").forEach((table) => {
    const heads = all("thead th", table);
    if (table.tBodies[0].rows.length < 2) return;
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.title = "Sort by this column";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, place, heads));
      head.append(button);
    });
  });

  all(".chooser").forEach((field) => {
    field.hidden = false;
    field.addEventListener("change", (event) => {
      const { value, checked } = event.target;
      all("[data-part]").filter((part) => part.dataset.part === value).forEach((part) => {
        part.classList.toggle("away", !checked);
      });
    });
  });
})();
